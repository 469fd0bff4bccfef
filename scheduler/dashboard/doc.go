// Package dashboard is what the service shows on the network: health and
// readiness, metrics, the API, and a page for people.
//
// It decides nothing. What it shows comes from a [Service], and what people ask
// for goes there.
//
// # Who may see what
//
//   - /healthz and /readyz answer everybody, and name no customer.
//   - All that is read is open without a token only to those who come from this
//     machine, to a name of this machine, and not through a proxy.
//   - All that changes something needs the token, as a bearer or typed into the
//     page's form: nothing that a browser sends by itself.
//   - Callbacks need ConnectWise's signature.
//   - Pages of other sites get nothing, not even through the browser of somebody
//     who may.
//
// # What one peer can take
//
// Headers, bodies, connections, long answers and wrong tokens are bounded in
// size, time and number. Who is slow on purpose pushes out others who are, and
// the right token is never kept waiting by wrong ones.
package dashboard
