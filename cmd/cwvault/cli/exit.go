package cli

import (
	"errors"
	"net/http"

	"cwvault/scheduler/remote"
	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// Exit codes. They are part of the contract with scripts; see the README.
const (
	exitOK           = 0
	exitFailed       = 1
	exitPending      = 2
	exitPartial      = 3
	exitHeld         = 4
	exitSource       = 5
	exitUsage        = 64
	exitLease        = 75
	exitUnauthorized = 77
	exitConfig       = 78
)

// exitCodes maps causes to exit codes. No other place does.
var exitCodes = map[run.Cause]int{
	run.CauseNone:         exitOK,
	run.CauseUsage:        exitUsage,
	run.CauseStale:        exitHeld,
	run.CauseSettings:     exitConfig,
	run.CauseSource:       exitSource,
	run.CauseUnauthorized: exitUnauthorized,
	run.CauseLease:        exitLease,
	run.CauseStopped:      exitFailed,
	run.CauseFailed:       exitFailed,
}

// exitCode returns the exit code of an error.
func exitCode(err error) int {
	var elsewhere *serviceError
	if errors.As(err, &elsewhere) {
		return elsewhere.code
	}
	return exitCodes[causeOf(err)]
}

// causeOf is [run.CauseOf], and also knows the errors of a remote service.
func causeOf(err error) run.Cause {
	var refused *remote.Error
	if !errors.As(err, &refused) {
		return run.CauseOf(err)
	}
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return run.CauseUnauthorized
	case http.StatusBadRequest:
		return run.CauseUsage
	}
	return run.CauseFailed
}

// exitOf returns the exit code of a run.
func exitOf(e run.Ending) int {
	switch {
	case e.Err != nil:
		return exitCode(e.Err)
	case e.Run.Outcome != report.Done:
		return exitPartial
	case e.Run.HeldByGuard():
		return exitHeld
	}
	return exitOK
}

// worst is the exit code of a check: that of the finding to fix first.
func worst(found []sync.Finding) int {
	rank := map[int]int{exitFailed: 1, exitSource: 2, exitUnauthorized: 3, exitConfig: 4}
	worst := exitOK
	for _, f := range found {
		if f.Err == nil {
			continue
		}
		code := exitCode(f.Err)
		if rank[code] == 0 {
			code = exitFailed
		}
		if rank[code] > rank[worst] {
			worst = code
		}
	}
	return worst
}
