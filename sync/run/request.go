package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// Request is what a run is asked for. The zero value asks for everything.
type Request struct {
	Companies []string   // only these, by id or identifier
	IDs       []int      // only these, by id, whether ConnectWise still lists them or not
	Recreate  []sync.Key // missing folders that may be made again
	Approve   string     // the id of a plan: what waits for approval is done, in this plan and no other
	Saved     *SavedPlan // apply only if the plan is still this one
	Count     bool       // count the secrets that go along with each move
	// Wait is how long to wait for the lease while another run has it.
	Wait time.Duration
}

// Partial reports whether the run is about some companies and not all.
func (r Request) Partial() bool { return len(r.Companies) > 0 || len(r.IDs) > 0 }

// only returns the companies that the request is about; nil means all.
func (r Request) only(companies []sync.Company, names sync.NameRules) (map[int]bool, error) {
	if !r.Partial() {
		return nil, nil
	}
	only := map[int]bool{}
	for _, id := range r.IDs {
		only[id] = true
	}
	for _, name := range r.Companies {
		ids := find(name, companies, names)
		if len(ids) == 0 {
			return nil, Usagef("no company %q in ConnectWise; use its id or identifier", name)
		}
		for _, id := range ids {
			only[id] = true
		}
	}
	return only, nil
}

// find returns the companies with this id or identifier.
func find(name string, companies []sync.Company, names sync.NameRules) (ids []int) {
	for _, c := range companies {
		if strconv.Itoa(c.ID) == name || names.Fold(c.Identifier) == names.Fold(name) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// FindCompany returns the id of the company that a person means by its id or
// identifier. A number is taken as an id without asking ConnectWise, so that it
// works for companies that are gone there.
func (r *Runner) FindCompany(ctx context.Context, who string) (int, error) {
	if id, err := strconv.Atoi(who); err == nil && id > 0 {
		return id, nil
	}
	src, err := r.readSource(ctx)
	r.Events.ReadAll()
	if err != nil {
		return 0, err
	}
	return one(who, src.Companies, r.Vault.Names())
}

// one returns the only company with this id or identifier. Its errors have
// [CauseUsage].
func one(who string, companies []sync.Company, names sync.NameRules) (int, error) {
	switch ids := find(who, companies, names); len(ids) {
	case 0:
		return 0, Usagef("no company %q in ConnectWise; use its id or identifier", who)
	case 1:
		return ids[0], nil
	default:
		return 0, Usagef("%q names %d companies; use the id", who, len(ids))
	}
}

// Find returns the id of the company that a person means: one that ConnectWise
// lists, or by its id one that has a folder still. Its errors have [CauseUsage].
func (p *Proposal) Find(who string) (int, error) {
	id, err := one(who, p.Source.Companies, p.names)
	if err == nil {
		return id, nil
	}
	for _, f := range p.Tree.Folders {
		if id, ok := f.Mark.Key.CompanyID(); ok && strconv.Itoa(id) == who && f.Mark.Tenant == p.Tenant {
			return id, nil
		}
	}
	return 0, err
}

// SavedPlan is what must match when a reviewed plan is applied: its id, and
// what each step does. It is not the plan: nothing in a file is ever applied.
type SavedPlan struct {
	id    string
	steps map[string]string // what each step does, by key
}

// maxSaved bounds a saved plan, in bytes.
const maxSaved = 1 << 30

// ReadSaved reads a plan in its JSON form.
func ReadSaved(from io.Reader) (*SavedPlan, error) {
	var file struct {
		Schema string            `json:"schema"`
		ID     string            `json:"id"`
		Steps  []json.RawMessage `json:"steps"`
	}
	if err := json.NewDecoder(io.LimitReader(from, maxSaved)).Decode(&file); err != nil {
		return nil, fmt.Errorf("not a plan: %w", err)
	}
	if file.Schema != sync.PlanSchema || file.ID == "" {
		return nil, fmt.Errorf("not a plan of the form %s", sync.PlanSchema)
	}
	p := &SavedPlan{id: file.ID, steps: make(map[string]string, len(file.Steps))}
	for _, raw := range file.Steps {
		var step struct{ Key, Op, To string }
		if err := json.Unmarshal(raw, &step); err != nil {
			return nil, fmt.Errorf("not a plan: %w", err)
		}
		p.steps[step.Key] = step.Op + " to " + step.To
	}
	return p, nil
}

// check refuses a plan that is not the one that was reviewed, and says what
// changed since.
func (p *SavedPlan) check(now sync.Plan) error {
	changes := p.changes(now)
	switch {
	case len(changes) == 0 && p.id == now.ID:
		return nil
	case len(changes) == 0:
		changes = []string{"a reason, or what is held or departed"}
	}
	const most = 20
	if len(changes) > most {
		changes = append(changes[:most], fmt.Sprintf("and %d more", len(changes)-most))
	}
	return stalef("the saved plan no longer matches; nothing was applied. Since then:\n  %s", strings.Join(changes, "\n  "))
}

func (p *SavedPlan) changes(now sync.Plan) (changes []string) {
	seen := map[string]bool{}
	for _, s := range now.Steps {
		key, does := string(s.Key), string(s.Op)+" to "+s.To
		seen[key] = true
		if was, ok := p.steps[key]; !ok {
			changes = append(changes, fmt.Sprintf("new: %s: %s", key, does))
		} else if was != does {
			changes = append(changes, fmt.Sprintf("other: %s: %s, was %s", key, does, was))
		}
	}
	for key, was := range p.steps {
		if !seen[key] {
			changes = append(changes, fmt.Sprintf("gone: %s: %s", key, was))
		}
	}
	slices.Sort(changes)
	return changes
}

// admit refuses a plan that is not the one that was reviewed or approved.
func (r *Runner) admit(ctx context.Context, p *Proposal, req Request) error {
	if req.Saved != nil {
		if err := req.Saved.check(p.Plan); err != nil { // first: it says what changed; rule 13: exactly the saved plan
			return err
		}
	}
	if req.Approve != "" && req.Approve != p.ID { // rule 13: a stale approval stops the run
		return stalef("the approval is for another plan, %.64s; the plan is now %s. Nothing was applied", sync.Plain(req.Approve), p.ID)
	}
	if req.Saved == nil {
		return nil
	}
	// A saved plan is good for one run. It counts as used when that run is over,
	// so that one that was interrupted can be begun again.
	used, err := r.Journal.PlanUsed(ctx, p.ID)
	if err == nil && used { // rule 13: a saved plan is used once
		err = WithCause(CauseStale, fmt.Errorf("the saved plan: %w", journal.ErrUsed))
	}
	return err
}
