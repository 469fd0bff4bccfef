// Package httpclient holds what this module's HTTP clients share: connections
// that trust an authority of the operator's own and follow no redirects, pauses
// between the tries of a request, and the care that a server's words need
// before people see them.
//
// Which request may be repeated is not decided here. That depends on what the
// request changes, so each client keeps its own table and says so with [Again].
package httpclient
