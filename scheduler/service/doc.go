// Package service is `cwvault serve`: it makes runs when they are due or asked
// for, shows how that goes, and tells people what needs them.
//
//	schedule ───────────┐
//	POST /api/resync ───┼─► queue ─► one run at a time ─► Ending ─┬─► state ─► page, API, metrics
//	callbacks, gathered ┘                                         └─► tickets
//
// Whatever asks for a run ends in the queue, and a run of the service is the
// same code as `cwvault resync`: package sync/run. What the service shows is
// what the last run saw, in a value that [After] computes from the state before
// and the run's ending; looking never asks ConnectWise or the vault.
//
// The service knows no setting by name, no adapter and no exit code. Whoever
// starts it gives it a [Backend], which makes sessions from the settings and
// reads them again.
//
// # Guarantees
//
//   - Runs never overlap, and one that fails or panics ends nothing but itself.
//   - All parts end together: when the listener or the scheduler ends, the
//     service does.
//   - Wrong settings at a reload change nothing.
//   - A delivery of ConnectWise only says which company to look at.
package service
