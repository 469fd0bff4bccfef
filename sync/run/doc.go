// Package run makes one run: it reads both sides, lets the core decide, applies
// the plan under the lease, and remembers what the next run must know.
//
//	Source ─┐                                            ┌─► report.Run
//	        ├─► Propose ─► admit ─► Apply ─► remember ─► Ending
//	Vault ──┘   (lease)             (fenced)  (journal)
//
// It is what every command and the service call. It knows no server, no
// setting by name, no command line and no exit code: a [Source] and a [Vault]
// are interfaces, settings come as values in [Options], and why a run did not
// do its work is a [Cause].
//
// # Using it
//
// Make a [Runner] with [New]. [Runner.Propose] returns the plan and changes
// nothing: that is a dry run. [Runner.Run] makes a run and returns its
// [Ending]: either a report of what was done, or the error that kept it from
// its first step. [Runner.Undo], [Runner.Pause] and [Runner.Unpause] do what
// their names say.
//
// # Guarantees
//
//   - One writer. A run holds the journal's lease and renews it while it
//     works. Whoever lost it begins no further step and sends no further change
//     (see [ErrCutOff] and journal.ErrLost).
//   - Intent before write. Each step is in the journal before the vault hears
//     of it, so that the next run finishes what a crash cut off.
//   - What was reviewed is what is done. With [Request.Saved] or
//     [Request.Approve] any other plan is refused, with [CauseStale].
//   - A signal stops the run after the steps under way; see [StopGrace].
//   - A panic in any of its goroutines is an error of the run.
package run
