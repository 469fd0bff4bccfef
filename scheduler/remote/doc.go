// Package remote asks a running service for a run and follows it to its end,
// over the API of package cwvault/scheduler/api.
//
// # What is repeated
//
// A request for a run is sent once: one that was not answered may have been
// received. Questions about it change nothing, so they are retried for as long
// as [Options.Patience] says, because a service that stops answering may just
// be restarting. A service forgets its requests when it ends. [Client.Resync]
// then looks whether the run was made, and asks for one again if not. That does
// no harm: a run does only what is left to do.
//
// # The token
//
// It is sent over https or to this machine, and redirects are not followed. No
// error and no log entry contains it.
//
// # Remote text
//
// What a service answers is not trusted: answers are limited in size, and the
// parts of a run that have few possible values are made harmless for a terminal
// (see [report.Plain]). Texts of errors are as the service wrote them; whoever
// prints them makes them harmless.
package remote
