// Package service is `cwvault serve`: it makes runs when they are due or requested,
// shows the state, and raises tickets for problems that need a person.
//
//	schedule ───────────┐
//	POST /api/resync ───┼─► queue ─► one run at a time ─► Ending ─┬─► state ─► page, API, metrics
//	callbacks, gathered ┘                                         └─► tickets
//
// Every request for a run goes through the queue. A run of the service is the same code
// as `cwvault resync`: package sync/run. The service shows what the last run saw.
// [After] computes that state from the state before and the run's ending, so a page
// never asks ConnectWise or the vault.
//
// The service reads no settings itself, and knows no adapter and no exit code. Its
// [Backend] makes sessions from the settings and reloads them.
//
// # Guarantees
//
//   - Runs never overlap. A run that fails or panics does not end the service.
//   - All parts end together: when the listener or the scheduler ends, so does the
//     service.
//   - Wrong settings at a reload change nothing.
//   - A delivery from ConnectWise only says which company to read again.
package service
