// Package sync is the core of cwvault. It decides which folder each ConnectWise
// company should have in a vault, says what must change, and changes it.
//
//	companies ──► Want ──► Wanted ─┐
//	                               ├─► Decide ──► Program ──► print its Plan   (a dry run ends here)
//	folders, memory ─────► World ──┘                  └─────► Apply ──► Report
//
// Deciding and doing are apart. [Want], [MakePlan], [Undo] and the policies are
// pure functions of their arguments: no I/O, no clock, no randomness, and the
// order of a reply does not matter. [Decide] makes a plan, asks each [Policy]
// which steps must wait, and plans again with those held; only its [Audience] may
// ask the vault. The result is a [Program]. Its [Plan] is a value that can be
// printed, stored, compared and approved. Only [Apply] changes a vault, and only
// as a program says.
//
// # Guarantees
//
//   - A folder is found by its mark, never by its name. Its name and place may
//     change. Its id and its contents do not.
//   - Nothing is deleted. A folder without our mark, or with another
//     installation's mark, is never changed. Two companies never share a folder.
//   - A change that is not safe is held: the folder stays as it is, and the plan
//     says why, with a [HoldCode] and a reason. Reasons state facts; the program
//     that prints them adds what to do.
//   - Equal inputs give byte-equal plans, in whatever order they come.
//   - After a program was applied, the next plan for the same companies is empty.
//
// docs/RULES.md lists the rules one by one, with the line of code that keeps
// each and the test that fails when that line is broken.
//
// # Cost
//
// Planning takes time and memory that grow with the number of companies and
// folders: a fraction of a second and less than 1 KiB a company for 100,000 of
// them. Holds do not change that: see settle.go.
//
// The package imports only the standard library; a test keeps it so.
package sync
