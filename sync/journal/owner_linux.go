package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Self returns this process as the owner of a lease.
func Self() Owner {
	o := Owner{PID: os.Getpid(), Boot: bootID()}
	o.Host, _ = os.Hostname()
	o.Space, _ = os.Readlink("/proc/self/ns/pid")
	if start, _, err := processStart(o.PID); err == nil {
		o.Start = start
	}
	return o
}

// bootID identifies the machine's current uptime and, since containers can have an
// uptime clock of their own, that clock.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	clock, err := os.Readlink("/proc/self/ns/time")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // older kernels have one clock for all
		return ""
	}
	return strings.TrimSpace(strings.TrimSpace(string(id)) + " " + clock)
}

// uptime returns the milliseconds since the machine was started, suspension
// included, and which uptime that is; 0 if it is unknown.
func uptime() (ms int64, boot string) {
	var t unix.Timespec
	if boot = bootID(); boot == "" || unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0, ""
	}
	return t.Nano() / 1e6, boot
}

// dead reports whether the process is certainly gone. It returns false if the
// owner is on another machine, and whenever it does not know.
func dead(o Owner) bool {
	me := Self()
	if o.Host != me.Host || o.Boot == "" || o.Boot != me.Boot || o.Space == "" || o.Space != me.Space {
		return false
	}
	// This comes first because /proc may hide other people's processes.
	if err := unix.Kill(o.PID, 0); errors.Is(err, unix.ESRCH) {
		return true
	}
	start, zombie, err := processStart(o.PID)
	return err == nil && (zombie || o.Start != 0 && start != o.Start)
}

// processStart reads when the process started, in clock ticks since the machine
// started (proc(5), field 22), and whether it only waits to be reaped.
func processStart(pid int) (ticks int64, zombie bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false, err
	}
	// The second field is the program's name in parentheses. It may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, false, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	state := fields[0][0]
	ticks, err = strconv.ParseInt(string(fields[19]), 10, 64)
	return ticks, state == 'Z' || state == 'X', err
}
