//go:build !linux

package journal

import "os"

// Self returns this process as the owner of a lease.
func Self() Owner {
	host, _ := os.Hostname()
	return Owner{Host: host, PID: os.Getpid()}
}

// dead is never known here, so the lease of a dead holder has to expire.
func dead(Owner) bool { return false }

// uptime is unknown here; the wall clock is used.
func uptime() (ms int64, boot string) { return 0, "" }
