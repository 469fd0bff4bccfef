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
// which steps must wait, and plans again with those held; only the [Audience]
// that it is given may ask the vault. Their result is a [Program]. Its [Plan] is
// a value that can be printed, stored, compared and refused. Only [Apply]
// changes a vault, and only as a program says.
//
// # Guarantees
//
//   - A folder is found by its mark, never by its name. Its name and place may
//     change. Its id and all that is in it do not.
//   - Nothing is deleted. A folder without our mark, or with another
//     installation's mark, is never changed. Two companies never share a folder.
//   - What cannot be done safely is held: it stays as it is, and the plan says
//     why, with a [HoldCode] and a reason. Reasons state facts; whoever prints
//     them adds what to do.
//   - Equal inputs give byte-equal plans, whatever order they come in.
//   - After a program was applied, the plan for the same companies is empty.
//
// docs/RULES.md lists the rules one by one, with the line of code that keeps
// each and the test that fails when that line is broken.
//
// # Cost
//
// Planning takes time and memory that grow with the number of companies and
// folders: about half a second and less than 1 KiB a company for 100,000 of
// them. Holds do not change that: see settle.go.
//
// The package imports only the standard library; a test keeps it so.
package sync
