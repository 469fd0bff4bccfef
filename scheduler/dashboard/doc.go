// Package dashboard serves the network side of the service: health and readiness,
// metrics, the API, and a page for people.
//
// It decides nothing. It shows the state of a [Service] and passes requests on to it.
// Package cwvault/scheduler/api defines the data on the wire, and cwvault/sync/report
// has the words for plans, holds and companies.
//
// # Who may see what
//
//   - /healthz and /readyz answer everybody and name no customer.
//   - Reading needs the token, unless the request comes from this machine, to a name
//     of this machine, without a proxy.
//   - Changing anything needs the token, as a bearer or typed into the page's form.
//     A browser sends neither by itself.
//   - Callbacks need ConnectWise's signature.
//   - Pages of other sites get nothing, not even through the browser of somebody who
//     has access.
//
// # Limits
//
// Headers, bodies, connections, long answers and wrong tokens are limited in size,
// time and number. Clients that are slow on purpose only displace each other, and
// wrong tokens never delay the right one.
package dashboard
