package host

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
)

// Notifier tells the host how the service is: systemd, by the socket that
// NOTIFY_SOCKET names, or the service manager of Windows. Without either it
// does nothing. Its methods may be called from several goroutines.
//
// Statuses are for people. Whatever they contain, they arrive as one line and
// cannot pass for an assignment such as READY=1.
type Notifier struct {
	host Host
	log  hclog.Logger
	send func(message string) error
}

// Notifier returns a notifier for this host. A nil logger logs nothing.
func (h Host) Notifier(log hclog.Logger) *Notifier {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Notifier{h, log, func(message string) error {
		_, err := daemon.SdNotify(false, message)
		return err
	}}
}

// Ready says that the service works: after its start, and after it has taken
// new settings or refused them.
func (n *Notifier) Ready(status string) {
	n.tell(daemon.SdNotifyReady, "STATUS="+oneLine(status))
	if n.host.ready != nil {
		n.host.ready()
	}
}

// Reloading says that the settings are being read again. A call of Ready must
// follow.
func (n *Notifier) Reloading() {
	// systemd wants to know when (Type=notify-reload).
	n.tell(daemon.SdNotifyReloading, strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// Stopping says that the service is about to end.
func (n *Notifier) Stopping(status string) {
	n.tell(daemon.SdNotifyStopping, "STATUS="+oneLine(status))
}

// Status says what the service is doing.
func (n *Notifier) Status(text string) { n.tell("STATUS=" + oneLine(text)) }

// Hangups is [Host.Hangups]: a Notifier is all that a service needs of its host.
func (n *Notifier) Hangups() (hangups <-chan os.Signal, stop func()) { return n.host.Hangups() }

// Watchdog tells systemd twice in each WatchdogSec that the service is alive,
// as long as alive says so, until ctx ends. When alive says no, or does not
// answer, systemd hears nothing and restarts the service. Without WatchdogSec,
// Watchdog returns at once.
func (n *Notifier) Watchdog(ctx context.Context, alive func() bool) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("no watchdog", "error", err)
	}
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		if alive() {
			n.tell(daemon.SdNotifyWatchdog)
		} else {
			n.log.Error("the service is stuck; systemd is not told that it is alive")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell sends one message of several assignments.
func (n *Notifier) tell(assignments ...string) {
	if err := n.send(strings.Join(assignments, "\n")); err != nil {
		n.log.Warn("cannot notify the service manager", "error", err)
	}
}

// oneLine escapes what does not print, above all the ends of lines: each line
// of a message is an assignment.
func oneLine(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
