// Package tickets raises one ConnectWise service ticket for each distinct
// problem that needs a person, and keeps its notes up to date.
//
//	run.Ending ─► Problems ─► []Problem ─► Clerk ─► Desk (ConnectWise)
//	             (pure)                      │
//	                                         └────► Book (the journal)
//
// [Problems], [Unopened] and [Stale] decide what is wrong. They are pure: a
// [Problem] is a value, and note.go alone turns it into text. A [Clerk]
// compares the problems with what its [Book] remembers, and raises tickets and
// adds notes at its [Desk].
//
// # The life of a ticket
//
//   - A new problem raises one ticket. While the problem lasts, a note lists
//     what it newly affects.
//   - When a run of everything no longer finds the problem, a note says so once.
//     The package never closes a ticket.
//   - A problem that comes back is noted on its ticket if that is still open.
//     Otherwise it raises a new one.
//
// # What stays the same
//
// The keys of problems and of their items, and the external references of
// tickets, are stored in the journal and in ConnectWise. They never change, so
// that open tickets are found again.
//
// # Limits
//
// Tickets cost a run nothing. One call of a Clerk takes 20 seconds at most,
// apart from a last entry in the journal, and raises 20 tickets at most.
// Whatever goes wrong is a warning in the log; the next run retries.
package tickets
