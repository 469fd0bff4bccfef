package dashboard

import (
	"context"
	"errors"
	"time"

	"cwvault/scheduler"
	"cwvault/sync"
)

// What a [Service] can answer, for errors.Is.
var (
	// ErrNotFound: there is no such run, request or company.
	ErrNotFound = errors.New("not found")
	// ErrForged: a callback is not from ConnectWise, as far as can be told.
	ErrForged = errors.New("not signed by ConnectWise")
	// ErrUndecided: whether a callback is from ConnectWise is still being
	// found out. What follows from it will follow.
	ErrUndecided = errors.New("not verified yet")
	// ErrTooMany: more waits already than is kept.
	ErrTooMany = errors.New("too many are waiting")
	// ErrInvalid: what was asked for makes no sense; the error says why.
	ErrInvalid = errors.New("invalid")
)

// A Service is what the pages and the API show and steer. Its methods may be
// called from several goroutines at once and end with ctx.
type Service interface {
	// State returns what is known at this moment, without asking anybody.
	State() State
	// Runs returns at most limit runs, the newest first: those below before, or
	// the newest of all if before is 0.
	Runs(ctx context.Context, limit int, before int64) ([]Run, error)
	// Run returns one run, with its plan, or ErrNotFound. Steps that have not
	// begun have an empty status.
	Run(ctx context.Context, id int64) (RunReport, error)
	// Resync asks for a run, and returns at once. While one is under way the
	// request waits for the next; requests that fit together share a run. Its
	// errors are ErrInvalid and ErrTooMany.
	Resync(ctx context.Context, r Request) (Asked, error)
	// Asked returns what became of a request, or ErrNotFound: it never was, or
	// is long over.
	Asked(id string) (Asked, error)
	// Callback takes a delivery from ConnectWise: the body and its signature,
	// in base64. It returns within a second, with nil, ErrForged, ErrUndecided,
	// ErrTooMany or ErrInvalid. A delivery that was seen before is nil, too.
	Callback(ctx context.Context, body []byte, signature string) error
}

// State is what a service knows at one moment. Nobody changes what it points to.
type State struct {
	Now     time.Time
	Version string
	// Tenant, Vault and Root say what is kept in step.
	Tenant, Vault, Root string
	// Schedule is the setting, in TimeZone.
	Schedule, TimeZone string
	Scheduler          scheduler.Status
	// LastAttempt is the last full run that began, of this service or of the
	// one before it; zero if there was none.
	LastAttempt time.Time
	// LastGood is when the last full run began that made all that it had to;
	// zero if there was none. Stale is when that is too long ago: at the third
	// scheduled time after it, or after the start of a service that has had none.
	LastGood, Stale time.Time
	// LastRun is the number of the newest run that is over; 0 if none.
	LastRun int64
	// Progress is how far the run under way is; zero while it only reads.
	Progress Progress
	// ConnectWise and VaultServer are how the last try to reach each went.
	ConnectWise, VaultServer Reach
	// Lease is empty if the last run could have the lease, and otherwise says
	// who held it.
	Lease string
	// NotInStep is since when the vault is known to differ from what it should
	// be (steps not made, or held by a guard, or runs that fail); zero while it
	// is in step.
	NotInStep time.Time
	// LastError is why the last run failed or is partial; empty if it is done.
	LastError string
	// Look is what the last run saw; nil before the first one since the start.
	Look *Look
}

// Progress counts the steps of a run.
type Progress struct {
	Run         int64
	Done, Total int
}

// Reach is how the last try to reach a server went.
type Reach struct {
	At    time.Time // zero: not tried yet
	Error string    // empty: it answered
}

// Look is what a run saw on both sides, and what it left to be done.
type Look struct {
	Run int64     // 0 if it failed
	At  time.Time // when it began
	// Pending holds what is still to be done: the steps that were not made or
	// that a guard holds, what is held and who has departed.
	Pending sync.Plan
	// Blocked are the steps of Pending that a guard holds, and Failed those
	// that did not work, with the error.
	Blocked map[sync.Key]bool
	Failed  map[sync.Key]string
	// Companies are all of ConnectWise's, in order of their name, and the
	// departed ones that still have a folder.
	Companies []Company
	// Listed is how many companies ConnectWise lists, Managed how many company
	// folders are kept.
	Listed, Managed int
}

// Company is one company as the last run saw it.
type Company struct {
	ID         int
	Identifier string
	Name       string
	// Path is where its folder is, or should be if it has none yet.
	Path string
	// State is "in step", "pending", "held", "departed" or "left out".
	State string
	// Explain says why, as `cwvault explain` prints it: lines of a word, spaces
	// and a text, all printable. It is a function because the texts of ten
	// thousand companies are better kept packed.
	Explain func() string
}

// Run is one run in a list.
type Run struct {
	Run     int64          `json:"run"`
	Start   time.Time      `json:"start"`
	End     *time.Time     `json:"end,omitempty"`
	Trigger string         `json:"trigger"`
	Outcome string         `json:"outcome"` // done, partial, stopped, failed, interrupted or running
	Plan    string         `json:"plan,omitempty"`
	Counts  map[string]int `json:"counts,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// RunReport is one run with its steps and what was held.
type RunReport struct {
	Run
	// JSON is the run as `cwvault resync --format json` prints it (cwvault.run/1).
	JSON  []byte
	Steps []Step
	Held  []sync.Held
}

// Step is a step of a run and what became of it.
type Step struct {
	sync.Step
	Status string // done, failed, skipped, interrupted; empty: not yet
	Error  string
}

// Request is what a person asks for. Without companies it is a run of all.
type Request struct {
	// Companies are ids or identifiers.
	Companies []string `json:"companies,omitempty"`
	// Approve is the id of a plan that guards let through.
	Approve string `json:"approve,omitempty"`
	// Recreate are keys of missing folders that may be made again.
	Recreate []sync.Key `json:"recreate,omitempty"`
}

// Asked is what became of a [Request].
type Asked struct {
	ID string `json:"request"`
	// State is "waiting", "running" or "over".
	State string `json:"state"`
	// Run is the number of the run that was made for it, as soon as that has
	// one: not before both sides are read. 0 if it failed before.
	Run   int64 `json:"run,omitempty"`
	Done  int   `json:"done,omitempty"`  // steps so far
	Total int   `json:"total,omitempty"` // steps in all
	// ExitCode is what `cwvault resync` would have ended with, and Error what it
	// would have printed, once it is over.
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
}
