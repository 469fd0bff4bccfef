package run

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
)

// Proposal is a plan and what it was made from. Nobody changes it.
type Proposal struct {
	sync.Program
	Request Request
	Only    map[int]bool // the companies that it is about; nil means all
	Source  sync.Source
	Tree    sync.Tree
	Wanted  sync.Wanted

	// Undoes is the run that the plan takes back, without ConnectWise; 0 for any
	// other plan. Stays is how many folders that run made, which stay.
	Undoes int64
	Stays  int

	structure sync.Structure
	names     sync.NameRules
	memory    journal.Memory
	layout    string // what to remember as the layout
	// migrationHeld says that all steps wait, because the layout has changed and
	// nobody has approved that yet.
	migrationHeld bool
}

// Situation is what report explains companies from, by the plan or by what is
// left of it.
func (p *Proposal) Situation(tree sync.Tree, plan sync.Plan) report.Situation {
	return report.Situation{Wanted: p.Wanted, Structure: p.structure, Companies: p.Source.Companies, Tree: tree, Plan: plan}
}

// Propose reads both sides at once and decides what must be done. It changes
// nothing, and needs no lease.
func (r *Runner) Propose(ctx context.Context, req Request) (*Proposal, error) {
	p := &Proposal{Request: req, structure: r.Settings.Structure, names: r.Vault.Names()}
	if err := r.read(ctx, p); err != nil {
		return nil, err
	}
	var err error
	if p.memory, err = r.Journal.Recall(ctx); err != nil {
		return nil, err
	}
	if err := r.trust(p); err != nil {
		return nil, err
	}
	if p.Only, err = req.only(p.Source.Companies, r.Vault.Names()); err != nil {
		return nil, err
	}
	if p.Wanted, err = sync.Want(p.Source, r.Settings, r.Vault.Names()); err != nil {
		return nil, err
	}
	now := r.Clock()
	if p.Program, err = sync.Decide(p.Wanted, r.world(p, now), r.audience(ctx), r.policies(p, now)...); err != nil {
		return nil, err
	}
	p.migrationHeld = r.relaid(p) && req.Approve != p.ID && !p.Whole.Empty()
	// The new layout counts once its whole migration is approved, or there is none.
	if p.layout = r.Layout; p.migrationHeld || r.relaid(p) && req.Partial() { // rule 13: a new layout counts when it is approved; rule 13: and as a whole
		p.layout = p.memory.Fingerprint.Layout
	}
	if n := len(p.Learned()); n > 0 {
		r.Log.Warn("the journal does not know the places of some folders; it is new, older than the vault, or a run was interrupted", "folders", n)
	}
	if req.Count {
		err = r.countSecrets(ctx, p)
	}
	return p, err
}

// read reads both sides.
func (r *Runner) read(ctx context.Context, p *Proposal) error {
	group, gctx := errgroup.WithContext(ctx)
	group.Go(sync.Recovered(func() (err error) {
		p.Source, err = r.readSource(gctx)
		return err
	}))
	group.Go(sync.Recovered(func() (err error) {
		p.Tree, err = r.readTree(gctx)
		return err
	}))
	if v, ok := r.Vault.(Readier); ok {
		group.Go(sync.Recovered(func() error { return about(VaultServer, "", v.Ready(gctx)) }))
	}
	err := group.Wait()
	r.Events.ReadAll()
	return err
}

// readSource reads the companies, and tells how that went.
func (r *Runner) readSource(ctx context.Context) (sync.Source, error) {
	src, err := r.Source.Source(ctx)
	err = about(ConnectWise, "read companies", err)
	r.told(ctx, ConnectWise, err)
	return src, err
}

// readTree reads the folders, and tells how that went.
func (r *Runner) readTree(ctx context.Context) (sync.Tree, error) {
	tree, err := r.Vault.Tree(ctx)
	err = about(VaultServer, "read folders", err)
	r.told(ctx, VaultServer, err)
	return tree, err
}

// told passes on how the reading of a server went. That it was interrupted says
// nothing of the server.
func (r *Runner) told(ctx context.Context, server Server, err error) {
	if of, known := ServerOf(err); known { // the keys of the one may be in the other
		server = of
	}
	if err == nil || ctx.Err() == nil {
		r.Events.Read(server, err)
	}
}

// trust is the guard before everything else: that this is the ConnectWise and
// the vault of the runs before, and that the companies are complete.
func (r *Runner) trust(p *Proposal) error {
	if err := r.SameInstallation(p.memory, p.Tree); err != nil {
		return err
	}
	if err := r.TrustSource(p.memory, p.Source); err != nil {
		return err
	}
	if p.Tree.Root.ID == "" && !r.CreateRoot { // rule 13: no root is made unasked
		return WithCause(CauseSettings, &NoRootError{p.Tree.RootPath})
	}
	return nil
}

// NoRootError says that the root does not exist and must not be made.
type NoRootError struct{ Root string }

func (e *NoRootError) Error() string {
	return fmt.Sprintf("the root %s does not exist in the vault", e.Root)
}

// MismatchError says that the journal belongs to another installation.
type MismatchError struct {
	What    string // tenant, vault or root
	Was, Is string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the %s is \"%s\", but \"%s\" in the runs that the journal knows", e.What, e.Is, e.Was)
}

// Unwrap makes it a reading that must not be trusted.
func (e *MismatchError) Unwrap() error { return sync.ErrIncomplete }

// SameInstallation returns a [*MismatchError] if a journal remembers another
// installation.
func (r *Runner) SameInstallation(m journal.Memory, tree sync.Tree) error {
	before, now := m.Fingerprint, r.fingerprint(tree)
	if before == nil {
		return nil
	}
	for _, f := range []MismatchError{
		{"tenant", before.Tenant, now.Tenant}, {"vault", before.Vault, now.Vault}, {"root", before.Root, now.Root},
	} {
		if f.Was != f.Is { // rule 13: another installation is refused
			return &f
		}
	}
	return nil
}

// TrustSource compares a list of companies with the one of the last good run.
func (r *Runner) TrustSource(m journal.Memory, src sync.Source) error {
	var good *sync.LastGood
	if m.LastGood != nil { // rule 13: a reading is compared with the last good run
		good = &sync.LastGood{Companies: m.LastGood.Companies}
	}
	return sync.CheckSource(src, good, r.Settings.Limits.SourceDrop)
}

func (r *Runner) fingerprint(tree sync.Tree) journal.Fingerprint {
	return journal.Fingerprint{Tenant: r.Tenant, Vault: r.Installation.Vault, Root: tree.RootPath, RootID: tree.Root.ID, Layout: r.Layout}
}

// relaid reports whether the settings that lay the tree out have changed.
func (r *Runner) relaid(p *Proposal) bool {
	before := p.memory.Fingerprint
	return before != nil && before.Layout != "" && before.Layout != r.Layout
}

// policies are asked what must not be done now, in order of precedence.
func (r *Runner) policies(p *Proposal, now time.Time) []sync.Policy {
	since := make(map[sync.Key]sync.Since, len(p.memory.Pending))
	for key, w := range p.memory.Pending {
		since[key] = sync.Since{To: w.To, Time: w.Since} // rule 13: a move has settled since it was wanted first
	}
	approved := p.Request.Approve
	return []sync.Policy{
		sync.Layout(r.relaid(p), approved),
		sync.Guards(r.Settings, approved),
		sync.Access(r.Settings, approved),
		sync.Settle(r.Settle, since, now, approved),
	}
}

// world puts together what the planner must know beside the companies.
func (r *Runner) world(p *Proposal, now time.Time) sync.World {
	m := p.memory
	w := sync.World{
		Tenant: r.Tenant, Vault: r.Installation.Vault, Tree: p.Tree, Only: p.Only, Encrypted: r.Encrypted,
		Known: make(map[sync.Key]sync.Place, len(m.Places)), Unfinished: make(map[sync.Key]sync.Place, len(m.Intents)),
		Recreate: map[sync.Key]bool{}, Hold: map[sync.Key]sync.Held{},
	}
	for key, place := range m.Places {
		w.Known[key] = sync.Place{Parent: place.Parent, Name: place.Name}
	}
	for _, in := range m.Intents {
		w.Unfinished[in.Key] = sync.Place{Parent: in.Parent, Name: in.Name} // rule 16: an intent of a run before tells what was begun
	}
	for _, key := range p.Request.Recreate {
		w.Recreate[key] = true
	}
	for key, f := range m.Failures {
		if now.Before(f.Next) { // rule 15: what failed again and again rests
			w.Hold[key] = sync.Held{Code: sync.HeldFailedBefore, Key: key, Reason: fmt.Sprintf(
				"failed in %s, last with: %s; retried after %s", report.Count(f.Count, "run"), f.Error, report.Second(f.Next))}
		}
	}
	for key, pause := range m.Pauses {
		reason := "paused by hand"
		if pause.Reason != "" {
			reason += ": " + pause.Reason
		}
		w.Hold[key] = sync.Held{Code: sync.HeldPaused, Key: key, Reason: reason} // rule 13: a paused company stays as it is
	}
	return w
}

// audience asks the vault who can see the folders that moves leave and enter. A
// folder that keeps its permissions keeps its audience.
func (r *Runner) audience(ctx context.Context) sync.Audience {
	if r.Settings.Access == sync.AccessPreserve {
		return nil
	}
	return func(folders []string) (map[string][]string, error) {
		audience := make(map[string][]string, len(folders))
		for _, id := range folders {
			who, err := r.Vault.Audience(ctx, id)
			if err != nil {
				return nil, fmt.Errorf("read who can see folder %s: %w", id, err)
			}
			audience[id] = who
		}
		return audience, nil
	}
}

// countSecrets notes how many secrets go along with each move, and how many are
// in each folder that is adopted.
func (r *Runner) countSecrets(ctx context.Context, p *Proposal) error {
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Op != sync.OpMove && step.Op != sync.OpArchive && step.Op != sync.OpAdopt {
			continue
		}
		n, err := r.Vault.Secrets(ctx, step.FolderID)
		if err != nil {
			return fmt.Errorf("count the secrets of %s: %w", step.Key, err)
		}
		step.Secrets = &n
	}
	return nil
}
