package main

import (
	"context"
	"errors"
	"fmt"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/vault"
	"cwvault/vault/secretserver"
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

// codeError is an error whose exit code cannot be told from its kind.
type codeError struct {
	code int
	err  error
}

func (e codeError) Error() string { return e.err.Error() }
func (e codeError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return codeError{exitUsage, fmt.Errorf(format, args...)}
}

func configf(format string, args ...any) error {
	return codeError{exitConfig, fmt.Errorf(format, args...)}
}

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var coded codeError
	var source *sync.SourceError
	var settings *sync.SettingsError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, journal.ErrHeld):
		return exitLease
	case errors.As(err, &settings), errors.Is(err, secretserver.ErrBuiltinSync), errors.Is(err, vault.ErrInvalid):
		return exitConfig
	case errors.As(err, &source), errors.Is(err, connectwise.ErrIncomplete):
		return exitSource
	case errors.Is(err, connectwise.ErrUnauthorized), errors.Is(err, vault.ErrUnauthorized), errors.Is(err, vault.ErrNotAllowed):
		return exitUnauthorized
	}
	return exitFailed
}

// hint says what to do about an error, where that is not in the error itself.
func hint(err error) string {
	switch {
	case errors.Is(err, journal.ErrHeld):
		return "wait for the other run to end (resync --wait 10m does), or stop it"
	case errors.Is(err, journal.ErrLost):
		return "another run may have taken over while this one was paused; it has changed nothing since, and the next run finishes the work"
	case errors.Is(err, journal.ErrCorrupt):
		return "the journal is an aid: move the file away, and the next run makes a new one from the marks in the vault"
	case errors.Is(err, connectwise.ErrIncomplete):
		return "nothing was changed; run again when ConnectWise answers in full"
	case errors.Is(err, context.Canceled):
		return "stopped by a signal"
	}
	return ""
}
