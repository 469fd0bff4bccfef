package dashboard

import (
	"context"
	"time"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

// A Service is what the pages and the API show and steer. Several goroutines may
// call its methods at once. They end when ctx does.
type Service interface {
	// State returns what is known at this moment, without asking anybody.
	State() State
	// Runs returns at most limit runs, the newest first: those below before, or
	// the newest of all if before is 0.
	Runs(ctx context.Context, limit int, before int64) ([]api.Run, error)
	// Run returns one run, with its plan and a result for each step, or
	// [api.ErrNotFound].
	Run(ctx context.Context, number int64) (report.Run, error)
	// Resync asks for a run, and returns at once. While a run is in progress the
	// request waits for the next one; requests that fit together share a run.
	// Its errors are [api.ErrInvalid] and [api.ErrTooMany].
	Resync(ctx context.Context, r api.Request) (api.Asked, error)
	// Asked returns what became of a request. It returns [api.ErrNotFound] if
	// there was no such request, or it was over long ago.
	Asked(id string) (api.Asked, error)
	// Callback takes a delivery from ConnectWise: the body and its signature,
	// in base64. It returns within a second, with nil or an error of package
	// api: ErrForged, ErrUndecided, ErrTooMany or ErrInvalid. It returns nil for
	// a delivery that it has seen before.
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
	// LastAttempt is when the last full run began, of this service or of the one
	// before it; zero if there was none.
	LastAttempt time.Time
	// LastGood is when the last full run began that succeeded; zero if there was
	// none. Stale is when that becomes too old: at the third scheduled time after
	// it, or after the start of the service if no run has succeeded.
	LastGood, Stale time.Time
	// LastRun is the number of the newest finished run; 0 if there is none.
	LastRun int64
	// Progress is how far the present run is; zero while it only reads.
	Progress Progress
	// ConnectWise and VaultServer are how the last request to each went.
	ConnectWise, VaultServer Reach
	// Lease says who held the lease when the last run needed it; empty if the
	// run got it.
	Lease string
	// NotInStep is since when the vault is known to differ from ConnectWise, or
	// runs fail; zero while it is in step.
	NotInStep time.Time
	// LastError is why the last run failed or is partial; empty if it succeeded.
	LastError string
	// Look is what the last run saw; nil before the first one since the start.
	Look *Look
}

// Progress counts the steps of a run.
type Progress struct {
	Run         int64
	Done, Total int
}

// Reach is how the last request to a server went.
type Reach struct {
	At    time.Time // zero: none was sent yet
	Error string    // empty: it answered
}

// Look is what a run saw on both sides, and what it left to do.
type Look struct {
	Run int64     // 0 if it failed
	At  time.Time // when it began
	// Pending is what remains: the steps that were not made, what is held and
	// who has departed.
	Pending sync.Plan
	// Blocked are the steps of Pending that are held, and Failed those that
	// failed, with the error.
	Blocked map[sync.Key]bool
	Failed  map[sync.Key]string
	// Companies are all that ConnectWise lists, and those that are gone there
	// and still have a folder, in order of their names.
	Companies []report.Company
	// Listed is how many companies ConnectWise lists, Managed how many company
	// folders cwvault manages.
	Listed, Managed int
}

// remaining is what the run left to do.
func (l *Look) remaining() report.Remaining {
	return report.Remaining{Plan: l.Pending, Blocked: l.Blocked, Failed: l.Failed}
}
