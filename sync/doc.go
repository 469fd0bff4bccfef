// Package sync is the core of cwvault: it decides which folder each ConnectWise
// company should have in a vault, says what must change, and changes it.
//
//	companies ─┐
//	           ├─► Want ─► MakePlan ─► Check ─► print        (a dry run stops here)
//	folders ───┘          pure               └─► Apply ─► Report
//
// Deciding and doing are apart. [Want], [MakePlan] and [Check] are pure
// functions of their arguments: no I/O, no clock, no randomness, no order of a
// reply. Their result is a value, the [Plan], that can be printed, stored,
// compared and refused. Only [Apply] changes a vault, and only as a plan says.
//
// # Guarantees
//
//   - A folder is found by its mark, never by its name. Its name and place may
//     change; its id and all that is inside it do not.
//   - Nothing is deleted. A folder without our mark, or with somebody else's,
//     is never changed. Two companies never share a folder.
//   - What cannot be done safely is held: it stays as it is and the plan says
//     why, with one of the codes of [Held].
//   - Equal inputs give byte-equal plans, whatever order they come in.
//   - After a plan was applied, the plan for the same companies is empty.
//
// The package imports only the standard library; a test keeps it so.
package sync
