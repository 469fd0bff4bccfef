// Package httpclient holds what this module's HTTP clients share: connections that
// trust the operator's own certificate authority and follow no redirects, retries
// with growing pauses, and the cleaning of a server's text before people see it.
//
// It does not decide which request may be repeated. That depends on what the
// request changes, so each client has a table of its own and uses [Again].
package httpclient
