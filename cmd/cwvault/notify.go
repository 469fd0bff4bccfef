package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// host is what runs the service and is told by calls: the service control
// manager of Windows. It is the zero host everywhere else.
type host struct {
	ready   func()           // called when the service works
	hangups <-chan os.Signal // gets a value when the settings are to be read again
}

// hangups returns a channel that gets a value each time the settings are to be
// read again: at SIGHUP, or when a Windows service is told that its parameters
// changed. The caller calls stop when it listens no longer.
func (a *app) hangups() (hangups <-chan os.Signal, stop func()) {
	if a.host.hangups != nil {
		return a.host.hangups, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// notifier tells what started the service how it is: systemd, by the socket
// that NOTIFY_SOCKET names, or the host. Without either it does nothing. What
// cannot be sent is logged and no reason to end: the service works without
// being watched, and who watches it acts when nothing is heard.
type notifier struct{ app *app }

func (a *app) notifier() *notifier { return &notifier{a} }

// ready says that the service works: after its start, and after it has taken
// new settings or refused them. status is for people; whatever is in it, it
// arrives as one line and not as an assignment of its own.
func (n *notifier) ready(status string) {
	n.send(daemon.SdNotifyReady, "STATUS="+plain(status))
	if n.app.host.ready != nil {
		n.app.host.ready()
	}
}

// reloading says that the settings are being read again. A call of ready must
// follow.
func (n *notifier) reloading() {
	n.send(daemon.SdNotifyReloading, strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// stopping says that the service is about to end.
func (n *notifier) stopping(status string) {
	n.send(daemon.SdNotifyStopping, "STATUS="+plain(status))
}

// status says in one line for people what the service does.
func (n *notifier) status(text string) { n.send("STATUS=" + plain(text)) }

// watchdog tells systemd twice in each WatchdogSec that the service is alive,
// as long as alive says so, until ctx is done. When alive says no, or does not
// answer, systemd hears nothing and restarts the service.
func (n *notifier) watchdog(ctx context.Context, alive func() bool) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.app.log.Warn("no watchdog", "error", err)
	}
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		if alive() {
			n.send(daemon.SdNotifyWatchdog)
		} else {
			n.app.log.Error("the service is stuck; the watchdog is not told that it is alive")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *notifier) send(assignments ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		n.app.log.Warn("the service manager was not told", "error", err)
	}
}
