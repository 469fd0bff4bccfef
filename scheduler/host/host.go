// Package host connects the service to whatever runs it: systemd, the service
// manager of Windows, or nothing at all.
//
// The service tells its host how it is through a [Notifier]. The host asks the
// service to read its settings again through [Host.Hangups]. systemd stops the
// service with SIGTERM. On Windows, [AsService] ends the context of what it runs.
//
// The package knows nothing of what the service does, and imports nothing else
// of this module. A host that cannot be told anything never stops the service:
// that is logged, and the service works without being watched.
package host

import (
	"os"
	"os/signal"
	"syscall"
)

// Host is what runs the service. The zero Host is the system itself: systemd if
// it started the process, or else a shell, a container or a supervisor. The
// service manager of Windows is a Host that [AsService] makes.
type Host struct {
	ready   func()           // called when the service works
	hangups <-chan os.Signal // gets a value when the settings should be read again
}

// Hangups returns a channel that gets a value each time the settings should be
// read again: at SIGHUP, or when a Windows service is told that its parameters
// changed. From this call on SIGHUP no longer ends the process, so call it
// before [Notifier.Ready]: systemd may send one right after. The caller calls
// stop when it no longer listens.
func (h Host) Hangups() (hangups <-chan os.Signal, stop func()) {
	if h.hangups != nil {
		return h.hangups, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
