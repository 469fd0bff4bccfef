// Package run makes one run: it reads both sides, lets the core decide, applies
// the plan under the lease, and remembers what the next run must know.
//
//	Source ─┐                                            ┌─► report.Run
//	        ├─► Propose ─► admit ─► Apply ─► conclude ─► Ending
//	Vault ──┘   (lease)             (fenced)  (journal)
//
// It is what every command and the service call. It knows no server, no
// setting by name, no command line and no exit code: a [Source] and a [Vault]
// are interfaces, settings come as values in [Options], and why a run did not
// do its work is a [Cause].
//
// # Using it
//
// A run needs five things: a [Source] that lists companies, a [Vault] that holds
// folders, a [journal.Journal], the [Installation] that these belong to, and the
// [sync.Settings] that lay the tree out. Put them into [Options], make a
// [Runner] with [New], and call:
//
//   - [Runner.Propose] for a dry run. It returns the plan, changes nothing and
//     needs no lease. What a policy holds is in the plan's Held; Whole is the plan
//     without those holds.
//   - [Runner.Run] for a run. With [Request.Approve], the id of a plan that a
//     person has looked at, it also does what waits for approval. With
//     [Request.Saved] it does exactly the plan that was saved. Any other plan is
//     refused.
//   - [Runner.Undo] to take back what an earlier run moved and renamed.
//   - [Runner.Pause] and [Runner.Unpause] to leave a company alone for a while.
//   - [History], [Recorded], [ReadPast] and [Runner.LastChange] for what the
//     journal knows of earlier runs.
//
// # How a run ends
//
// [Runner.Run] returns an [Ending] and no error. If its Run is nil, the run ended
// before its first step, its Err says why, and [Ending.Cause] says what kind of
// thing that is: [CauseUsage] and [CauseStale] say that the request was wrong and
// nothing of the vault, [CauseLease] that another run is in progress. If its Run is
// not nil, that has the result of each step. One step that fails does not end a
// run: its outcome is then partial.
//
// An Ending is a value. [Ending.Tree] is the tree that the run left, without
// asking the vault again.
//
// # Guarantees
//
//   - One writer. A run holds the journal's lease and renews it while it
//     works. A run that loses the lease begins no further step, changes nothing
//     more, and records nothing but the steps it has begun.
//   - Intent before write. Each step is in the journal before the vault hears
//     of it. The next run finishes what a crash interrupted, wherever that was.
//   - What was reviewed is what is done. With [Request.Saved] or
//     [Request.Approve] any other plan is refused, with [CauseStale].
//   - The right place. If the tenant, the vault or the root are not those of the
//     runs before, nothing is done. A layout other than that of the runs before
//     waits until its whole plan is approved.
//   - A signal stops the run after the steps under way, and after [StopGrace] it
//     cuts these off; see [ErrCutOff].
//   - A panic in any of its goroutines is an error of the run.
package run
