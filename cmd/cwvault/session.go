package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/vault"
)

// session is one run of any command that looks at both sides.
type session struct {
	app     *app
	cfg     *config
	cw      *connectwise.Client
	vault   vaultHandle
	address string // of the vault, for plans and the journal
	journal *journal.Journal
	lease   *journal.Lease // while one is held
	run     int64          // the number of the last run in the journal, also of one that failed; 0 if none
	bar     *progress
	watch   watch

	connected bool          // with keys from the vault
	encrypted bool          // the vault encrypts for its readers
	leaseWait time.Duration // how long to wait while another run has the lease
}

// watch is what the service wants to hear of a run while it goes on. Functions
// that are nil are not called.
type watch struct {
	proposed func(*proposal)
	// reached is told how each reading of ConnectWise ("connectwise") and of the
	// vault ("vault") went, unless it was cut off.
	reached func(server string, err error)
	applied func(run int64, done, total int)
	sent    func(server string, retry bool) // a request went out
}

// open connects a command to both servers and the journal, without sending
// anything yet. A writable session may make the journal's file.
func (a *app) open(c *config, writable bool) (s *session, err error) {
	s, problems := a.openClients(c, a.newProgress())
	if len(problems) > 0 {
		s.close()
		return nil, codeError{exitConfig, problems}
	}
	if writable {
		s.journal, err = journal.Open(a.ctx, c.State, journal.Options{})
	} else {
		s.journal, err = journal.OpenReadOnly(a.ctx, c.State, journal.Options{})
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("CWVAULT_STATE: %w", err)
	}
	return s, nil
}

func (s *session) close() {
	s.bar.stop()
	if s.vault != nil {
		if err := s.vault.Close(); err != nil {
			s.app.log.Warn("closing the vault", "error", plain(err.Error()))
		}
	}
	if s.journal != nil {
		if err := s.journal.Close(); err != nil {
			s.app.log.Warn("closing the journal", "error", plain(err.Error()))
		}
	}
}

// openConnectWise makes the client, without sending anything yet.
func (s *session) openConnectWise(public, private secret) (*connectwise.Client, error) {
	c, log := s.cfg, s.app.log
	cw, err := connectwise.New(connectwise.Config{
		URL: c.ConnectWiseURL, CompanyID: c.ConnectWiseCompany,
		PublicKey: string(public), PrivateKey: string(private), ClientID: c.ConnectWiseClientID,
		Version: c.ConnectWiseVersion, CAFile: c.ConnectWiseCAFile,
		Logger: log.Named("connectwise"), Progress: s.bar.read, Sent: s.sent("connectwise"),
	})
	if err != nil {
		return nil, inSettings(connectWiseVariables, err)
	}
	return cw, nil
}

// connectWiseVariables names the variables that the fields of
// [connectwise.Config] come from.
var connectWiseVariables = map[string]string{
	"URL": "CWVAULT_CONNECTWISE_URL", "CompanyID": "CWVAULT_CONNECTWISE_COMPANY_ID",
	"PublicKey": "CWVAULT_CONNECTWISE_PUBLIC_KEY", "PrivateKey": "CWVAULT_CONNECTWISE_PRIVATE_KEY",
	"ClientID": "CWVAULT_CONNECTWISE_CLIENT_ID", "Version": "CWVAULT_CONNECTWISE_VERSION", "CAFile": "CWVAULT_CONNECTWISE_CA_FILE",
}

// inSettings names the variables that a client's wrong fields come from.
func inSettings(variables map[string]string, err error) error {
	if problems, ok := errors.AsType[sync.Problems](err); ok {
		return problems.Named(variables)
	}
	return err
}

// request says what a run is asked for.
type request struct {
	only     []string   // companies by id or identifier
	ids      []int      // companies by id, whether ConnectWise still lists them or not
	recreate []sync.Key // missing folders that may be made again
	approve  string     // plan id that guards let through
	saved    *savedPlan // apply only if it is this plan
	count    bool       // count the secrets that move
}

// partial reports whether the run is about some companies and not all.
func (r request) partial() bool { return len(r.only) > 0 || len(r.ids) > 0 }

// proposal is a plan and what it was made from.
type proposal struct {
	sync.Program
	req request
	// only are the companies that the run is about; nil means all.
	only      map[int]bool
	structure sync.Structure
	wanted    sync.Wanted
	source    sync.Source
	tree      sync.Tree
	// unfinished are the creates that earlier runs left open.
	unfinished map[sync.Key]sync.Place
	// failures are the steps that failed in the runs before.
	failures map[sync.Key]journal.Failure
	// before is the journal's fingerprint; layout is what to write into the
	// next.
	before journal.Fingerprint
	layout string
	// wants are the places that moves were waiting for, settling those that
	// moves are for now.
	wants    map[sync.Key]journal.PendingMove
	settling []journal.PendingMove
	cutOff   bool // the run was stopped and had no time to finish its steps
	undo     bool // the inverse of an earlier run, made without ConnectWise
}

// settledIntents returns the keys of earlier creates of which it is known by
// now what became of them.
func (p *proposal) settledIntents(report sync.Report) []sync.Key {
	if len(p.unfinished) == 0 {
		return nil
	}
	var settled []sync.Key
	for _, f := range p.tree.Folders {
		if _, open := p.unfinished[f.Mark.Key]; open && f.Mark.Tenant == p.Tenant {
			settled = append(settled, f.Mark.Key)
		}
	}
	for i, r := range report.Results {
		if key := p.Steps[i].Key; r.Status == sync.StatusDone {
			if _, open := p.unfinished[key]; open {
				settled = append(settled, key)
			}
		}
	}
	return settled
}

// propose reads both sides at once and decides what is to be done.
func (s *session) propose(ctx context.Context, req request) (*proposal, error) {
	p := &proposal{req: req, structure: s.cfg.settings.Structure}
	if err := s.connect(ctx); err != nil {
		s.reached(ctx, "vault", err)
		return nil, err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(sync.Recovered(func() (err error) {
		p.source, err = s.cw.Source(gctx)
		s.reached(gctx, "connectwise", err)
		return wrap("read companies", err)
	}))
	group.Go(sync.Recovered(func() (err error) {
		p.tree, err = s.vault.Tree(gctx)
		s.reached(gctx, "vault", err)
		return wrap("read folders", err)
	}))
	if v, ok := s.vault.(interface{ Ready(context.Context) error }); ok {
		group.Go(sync.Recovered(func() error { return v.Ready(gctx) }))
	}
	err := group.Wait()
	s.bar.stop()
	if err != nil {
		return nil, err
	}
	if err := s.checkSource(ctx, p); err != nil {
		return nil, err
	}
	if p.tree.Root.ID == "" && !s.cfg.createRoot {
		return nil, configf("CWVAULT_ROOT: %s does not exist in the vault; make it there, or set CWVAULT_CREATE_ROOT=true", p.tree.RootPath)
	}
	if p.wanted, err = sync.Want(p.source, s.cfg.settings, s.vault.Names()); err != nil {
		return nil, err
	}
	world, err := s.world(ctx, p, req)
	if err != nil {
		return nil, err
	}
	p.only = world.Only
	if err := s.decide(ctx, p, world); err != nil {
		return nil, err
	}
	if n := len(p.Learned()); n > 0 {
		s.app.log.Warn("the journal did not know the places of folders that are right: it is new, older than the vault, or a run was cut off", "folders", n)
	}
	if s.watch.proposed != nil {
		s.watch.proposed(p)
	}
	if req.count {
		return p, s.countSecrets(ctx, p)
	}
	return p, nil
}

// sent returns what counts the requests to a server for the watch.
func (s *session) sent(server string) func(retry bool) {
	return func(retry bool) {
		if s.watch.sent != nil {
			s.watch.sent(server, retry)
		}
	}
}

// reached tells the watch how the reading of a server went. That it was cut off,
// by a signal or because the other server failed, says nothing.
func (s *session) reached(ctx context.Context, server string, err error) {
	if s.watch.reached != nil && (err == nil || ctx.Err() == nil) {
		s.watch.reached(server, err)
	}
}

// decide makes the plan, and notes what the journal must remember of it.
func (s *session) decide(ctx context.Context, p *proposal, world sync.World) (err error) {
	settings, approved := s.cfg.settings, p.req.approve
	p.layout = s.fingerprint(p).Layout
	changed := p.before.Layout != "" && p.before.Layout != p.layout
	if s.cfg.settle != 0 {
		if p.wants, err = s.journal.Wants(ctx); err != nil {
			return err
		}
	}
	since := make(map[sync.Key]sync.Since, len(p.wants))
	for key, w := range p.wants {
		since[key] = sync.Since{To: w.To, Time: w.Since}
	}
	p.Program, err = sync.Decide(p.wanted, world, s.audience(ctx),
		sync.Layout(changed, approved), sync.Guards(settings, approved), sync.Access(settings, approved),
		sync.Settle(s.cfg.settle, since, time.Now(), approved))
	if err != nil {
		return err
	}
	if changed && !p.Whole.Empty() && approved != p.ID {
		p.layout = p.before.Layout // until the migration is approved
		p.wants = nil
		return nil
	}
	if s.cfg.settle != 0 {
		for _, step := range p.Whole.CompanyMoves() {
			p.settling = append(p.settling, journal.PendingMove{Key: step.Key, To: step.To})
		}
	}
	return nil
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// checkSource is the guard before everything else: that this is the ConnectWise
// and the vault of the runs before, and that the companies are complete.
func (s *session) checkSource(ctx context.Context, p *proposal) error {
	if err := s.checkFingerprint(ctx, p); err != nil {
		return err
	}
	last, ok, err := s.journal.LastGood(ctx)
	if err != nil {
		return err
	}
	var good *sync.LastGood
	if ok {
		good = &sync.LastGood{Companies: last.Companies}
	}
	return sync.CheckSource(p.source, good, s.cfg.settings.Limits.SourceDrop)
}

// checkFingerprint sees that this is the installation that the journal knows.
func (s *session) checkFingerprint(ctx context.Context, p *proposal) error {
	before, ok, err := s.journal.Fingerprint(ctx)
	if err != nil {
		return err
	}
	p.before = before
	state, _ := stateName(s.cfg.State)
	if ok {
		now := s.fingerprint(p)
		for _, f := range []struct{ name, was, is string }{
			{"CWVAULT_CONNECTWISE_COMPANY_ID", before.Tenant, now.Tenant},
			{"CWVAULT_VAULT_URL", before.Vault, now.Vault},
			{"CWVAULT_ROOT", before.Root, now.Root},
		} {
			if f.was != f.is {
				return &sync.SourceError{Problem: fmt.Sprintf("%s is %q, and %q in the runs that the journal %s knows; for another installation use another CWVAULT_STATE",
					f.name, f.is, f.was, state)}
			}
		}
	}
	return nil
}

func (s *session) fingerprint(p *proposal) journal.Fingerprint {
	c := s.cfg
	return journal.Fingerprint{
		Tenant: c.ConnectWiseCompany, Vault: s.address, Root: p.tree.RootPath, RootID: p.tree.Root.ID,
		Layout: strings.Join([]string{c.settings.Structure.String(), c.settings.Name.String(), c.Types, c.Statuses, c.Exclude, c.TypePriority, c.Missing}, "\n"),
	}
}

// world puts together what the planner must know beside the companies.
func (s *session) world(ctx context.Context, p *proposal, req request) (sync.World, error) {
	w := sync.World{
		Tenant: s.cfg.ConnectWiseCompany, Vault: s.address, Tree: p.tree,
		Known: map[sync.Key]sync.Place{}, Unfinished: map[sync.Key]sync.Place{},
		Recreate: map[sync.Key]bool{}, Hold: map[sync.Key]sync.Held{}, Encrypted: s.encrypted,
	}
	known, err := s.journal.Places(ctx)
	if err != nil {
		return w, err
	}
	for key, place := range known {
		w.Known[key] = sync.Place{Parent: place.Parent, Name: place.Name}
	}
	intents, err := s.journal.Intents(ctx)
	if err != nil {
		return w, err
	}
	for _, in := range intents {
		w.Unfinished[in.Key] = sync.Place{Parent: in.Parent, Name: in.Name}
	}
	p.unfinished = w.Unfinished
	pauses, err := s.journal.Pauses(ctx)
	if err != nil {
		return w, err
	}
	for key, pause := range pauses {
		reason := "paused by hand"
		if pause.Reason != "" {
			reason += ": " + pause.Reason
		}
		w.Hold[key] = sync.Held{Code: sync.HeldPaused, Key: key, Reason: reason}
	}
	if p.failures, err = s.journal.Failures(ctx); err != nil {
		return w, err
	}
	for key, f := range p.failures {
		if _, paused := w.Hold[key]; !paused && time.Now().Before(f.Next) {
			w.Hold[key] = sync.Held{Code: sync.HeldFailedBefore, Key: key, Reason: fmt.Sprintf(
				"failed in %d runs, lastly with: %s; tried again after %s", f.Count, f.Error, f.Next.UTC().Format(time.RFC3339))}
		}
	}
	for _, key := range req.recreate {
		w.Recreate[key] = true
	}
	if w.Only, err = selectCompanies(req.only, p.source.Companies); err != nil {
		return w, err
	}
	for _, id := range req.ids {
		if w.Only == nil {
			w.Only = map[int]bool{}
		}
		w.Only[id] = true
	}
	return w, nil
}

// selectCompanies finds companies by id or identifier. Nil means all.
func selectCompanies(names []string, companies []sync.Company) (map[int]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	only := map[int]bool{}
	for _, name := range names {
		found := false
		for _, c := range companies {
			if strconv.Itoa(c.ID) == name || vault.Fold(c.Identifier) == vault.Fold(name) {
				only[c.ID], found = true, true
			}
		}
		if !found {
			return nil, usagef("no company %q in ConnectWise; use its id or identifier", name)
		}
	}
	return only, nil
}

// audience asks the vault who can see folders, where that matters.
func (s *session) audience(ctx context.Context) sync.Audience {
	if s.cfg.settings.Access == sync.AccessPreserve {
		return nil
	}
	return func(folders []string) (map[string][]string, error) {
		audience := make(map[string][]string, len(folders))
		for _, id := range folders {
			who, err := s.vault.Audience(ctx, id)
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
func (s *session) countSecrets(ctx context.Context, p *proposal) error {
	for i := range p.Steps {
		step := &p.Steps[i]
		if step.Op != sync.OpMove && step.Op != sync.OpArchive && step.Op != sync.OpAdopt {
			continue
		}
		n, err := s.vault.Secrets(ctx, step.FolderID)
		if err != nil {
			return fmt.Errorf("count the secrets of %s: %w", step.Key, err)
		}
		step.Secrets = &n
	}
	return nil
}

// learned is what the journal is to remember of a plan and its results.
func learned(plan sync.Program, report sync.Report) []journal.KnownPlace {
	var places []journal.KnownPlace
	for _, k := range plan.Learned() {
		places = append(places, journal.KnownPlace{Key: k.Key, FolderID: k.FolderID, Parent: k.Place.Parent, Name: k.Place.Name})
	}
	for i, r := range report.Results {
		if step := plan.Steps[i]; r.Status == sync.StatusDone && step.Key != sync.RootKey {
			place := plan.Place(i)
			places = append(places, journal.KnownPlace{Key: step.Key, FolderID: r.FolderID, Parent: place.Parent, Name: place.Name, Path: step.To})
		}
	}
	return places
}
