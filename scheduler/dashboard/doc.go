// Package dashboard is what the service shows on the network: health and
// readiness, metrics, the API, and a page for people.
//
// It decides nothing. What it shows comes from a [Service], and what people ask
// for goes to it. What goes over the wire is in package cwvault/scheduler/api,
// and the words for plans, holds and companies are in cwvault/sync/report.
//
// # Who may see what
//
//   - /healthz and /readyz answer everybody, and name no customer.
//   - Reading needs the token, unless the request comes from this machine, to a
//     name of this machine, and not through a proxy.
//   - Changing anything needs the token, as a bearer or typed into the page's
//     form: nothing that a browser sends by itself.
//   - Callbacks need ConnectWise's signature.
//   - Pages of other sites get nothing, not even through the browser of somebody
//     who has access.
//
// # What one peer can take
//
// Headers, bodies, connections, long answers and wrong tokens are bounded in
// size, time and number. Peers that are slow on purpose push out only each
// other, and wrong tokens never delay the right one.
package dashboard
