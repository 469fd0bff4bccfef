package run

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// Source is where the companies come from: ConnectWise.
type Source interface {
	// Source reads all companies, types and statuses in one pass. A reading that
	// may be incomplete is an error of kind [sync.ErrIncomplete].
	Source(ctx context.Context) (sync.Source, error)
}

// Vault is where the folders are: what package vault asks of any vault, and
// what a run wants to know beside.
type Vault interface {
	sync.Vault
	// Names states the vault's rules for folder names.
	Names() sync.NameRules
	// Tree reads the root and every folder below it; see package vault.
	Tree(ctx context.Context) (sync.Tree, error)
	// Secrets counts the secrets in a folder and below it: at least so many, since
	// the account may not see all.
	Secrets(ctx context.Context, folderID string) (int, error)
	// Audience returns who can see what inherits from a folder.
	Audience(ctx context.Context, folderID string) ([]string, error)
	// Commit ends a run, with a line that describes it.
	Commit(ctx context.Context, message string) error
}

// Readier is a [Vault] that can refuse a run before its first step: because it
// is locked, or because another program keeps the same folders.
type Readier interface {
	// Ready returns why no run may begin, or nil. It changes nothing.
	Ready(ctx context.Context) error
}

// Server is one of the two sides.
type Server string

// The two sides.
const (
	ConnectWise Server = "connectwise"
	VaultServer Server = "vault"
)

// Events hears of a run while it lasts, in this order: Read for each server
// that was read, ReadAll, and if it comes to steps Applied for none, one, two and
// so on, and ApplyEnded. The methods must return quickly. Read may be called from
// several goroutines at once; Applied is called from several, one at a time.
type Events interface {
	// Read says how a reading of a server went. One that was interrupted, by a
	// signal or because the other server failed, is not reported.
	Read(server Server, err error)
	// ReadAll says that all that is needed has been read, well or not.
	ReadAll()
	// Applied counts the steps that have ended, whatever became of them. The
	// first call has done = 0.
	Applied(run int64, done, total int)
	// ApplyEnded says that no further step is made.
	ApplyEnded()
}

// NoEvents hears nothing. Embed it to hear of some events only.
type NoEvents struct{}

// Read implements [Events].
func (NoEvents) Read(Server, error) {}

// ReadAll implements [Events].
func (NoEvents) ReadAll() {}

// Applied implements [Events].
func (NoEvents) Applied(int64, int, int) {}

// ApplyEnded implements [Events].
func (NoEvents) ApplyEnded() {}

// Clock tells the time that runs are dated with and that moves settle by. Tests
// give their own. The journal has a clock of its own; both must agree.
type Clock func() time.Time

// Installation says what is kept in step with what. A journal belongs to one
// installation.
type Installation struct {
	Tenant string // the ConnectWise login company id
	Vault  string // the vault's address
	Root   string // the path of the root, as set
}

// Options is all that a [Runner] needs.
type Options struct {
	Source  Source
	Vault   Vault
	Journal *journal.Journal // open for writing, but for Propose
	Log     hclog.Logger     // nil: none
	Events  Events           // nil: [NoEvents]
	Clock   Clock            // nil: time.Now

	Installation
	Settings   sync.Settings
	Layout     string        // the settings that lay the tree out, in any form; a change waits for approval
	CreateRoot bool          // make a root that does not exist
	Settle     time.Duration // how long a move must have been wanted; 0: not at all
	Workers    int           // parallel changes of the vault; below 1 means 1
	KeepDays   int           // how long the journal keeps runs; 0: for ever
	Encrypted  bool          // moves into another audience need key holders; see [sync.World]

	// FixFor says what to do about an error that ended a run, in words that fit
	// whoever reads it; empty: nothing. Nil says nothing. The journal and tickets
	// keep its text beside the error's.
	FixFor func(error) string
}

// Runner makes runs, one at a time.
type Runner struct{ Options }

// New returns a runner. It does nothing yet.
func New(opt Options) *Runner {
	if opt.Log == nil {
		opt.Log = hclog.NewNullLogger()
	}
	if opt.Events == nil {
		opt.Events = NoEvents{}
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.FixFor == nil {
		opt.FixFor = func(error) string { return "" }
	}
	return &Runner{opt}
}

// Run makes a run. The trigger says in the journal what started it, such as
// "schedule". The run ends early, as stopped, when ctx does.
func (r *Runner) Run(ctx context.Context, req Request, trigger string) Ending {
	e := Ending{Request: req, Trigger: trigger, Started: r.Clock()}
	e.Err = r.holdingLease(ctx, req.Wait, func(ctx context.Context, lease *journal.Lease) error {
		p, err := r.Propose(ctx, req)
		e.Proposal = p
		if err == nil {
			err = r.admit(ctx, p, req)
		}
		if err != nil {
			return r.recordFailure(ctx, &e, err)
		}
		return r.apply(ctx, lease, &e)
	})
	e.Fix = r.fix(e.Err)
	return e
}

// fix says what to do about an error; nothing about nil.
func (r *Runner) fix(err error) string {
	if err == nil {
		return ""
	}
	return r.FixFor(err)
}
