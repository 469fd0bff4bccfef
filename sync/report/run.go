package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cwvault/sync"
)

// RunSchema names the JSON form of a [Run].
const RunSchema = "cwvault.run/1"

// Outcome is how a run ended.
type Outcome string

// The outcomes of runs.
const (
	Done    Outcome = "done"
	Partial Outcome = "partial" // some steps failed or were skipped
	Stopped Outcome = "stopped" // by a signal; the next run makes the remaining steps
	Failed  Outcome = "failed"  // before its first step
	Running Outcome = "running" // not over yet
	// Interrupted: the process died; a later run recorded that.
	Interrupted Outcome = "interrupted"
)

// Run is a plan that was applied, and its results. Its JSON form, cwvault.run/1, is
// the plan with the results added.
type Run struct {
	sync.Plan
	Number  int64 // in the journal
	Trigger string
	Outcome Outcome
	Error   string // what went wrong besides the steps; empty if nothing did
	Started time.Time
	Ended   time.Time    // zero while it runs
	Results []StepResult // one for each step
}

// StepResult is the result of one step.
type StepResult struct {
	Status sync.Status // empty: not begun
	Error  string
	Began  time.Time // zero for a step that was skipped
	Ended  time.Time
}

// Count returns how many steps have this status.
func (r Run) Count(status sync.Status) (n int) {
	for _, result := range r.Results {
		if result.Status == status {
			n++
		}
	}
	return n
}

// Made returns the counts of the steps that are done.
func (r Run) Made() sync.Counts {
	made := r.Counts
	for i, result := range r.Results {
		if result.Status != sync.StatusDone {
			*countOf(&made, r.Steps[i].Op)--
		}
	}
	return made
}

// wireRun is a run in its JSON form.
type wireRun struct {
	Schema   string          `json:"schema"`
	Run      int64           `json:"run"`
	Trigger  string          `json:"trigger"`
	Outcome  Outcome         `json:"outcome"`
	Error    string          `json:"error,omitempty"`
	Start    time.Time       `json:"start"`
	End      time.Time       `json:"end,omitzero"`
	ID       string          `json:"id"`
	Tenant   string          `json:"tenant"`
	Vault    string          `json:"vault"`
	Root     string          `json:"root"`
	Steps    []wireStep      `json:"steps"`
	Held     []sync.Held     `json:"held"`
	Departed []sync.Departed `json:"departed"`
	Counts   sync.Counts     `json:"counts"`
}

type wireStep struct {
	sync.Step
	Status sync.Status `json:"status"`
	Error  string      `json:"error,omitempty"`
	Start  *time.Time  `json:"start,omitempty"`
	End    *time.Time  `json:"end,omitempty"`
}

// MarshalJSON writes the form cwvault.run/1.
func (r Run) MarshalJSON() ([]byte, error) {
	p := r.Plan
	w := wireRun{RunSchema, r.Number, r.Trigger, r.Outcome, r.Error, r.Started.UTC(), r.Ended.UTC(),
		p.ID, p.Tenant, p.Vault, p.Root, make([]wireStep, len(p.Steps)), p.Held, p.Departed, p.Counts}
	for i, s := range p.Steps {
		result := r.Results[i]
		w.Steps[i] = wireStep{s, result.Status, result.Error, TimeOrNil(result.Began), TimeOrNil(result.Ended)}
	}
	return JSON(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Run) UnmarshalJSON(b []byte) error {
	var w wireRun
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if w.Schema != RunSchema {
		return fmt.Errorf("it is a %q, not a %s; did another version of cwvault write it?", w.Schema, RunSchema)
	}
	*r = Run{
		Plan: sync.Plan{Schema: sync.PlanSchema, ID: w.ID, Tenant: w.Tenant, Vault: w.Vault, Root: w.Root,
			Steps: make([]sync.Step, len(w.Steps)), Held: w.Held, Departed: w.Departed, Counts: w.Counts},
		Number: w.Run, Trigger: w.Trigger, Outcome: w.Outcome, Error: w.Error, Started: w.Start, Ended: w.End,
		Results: make([]StepResult, len(w.Steps)),
	}
	for i, s := range w.Steps {
		r.Steps[i] = s.Step
		r.Results[i] = StepResult{Status: s.Status, Error: s.Error, Began: timeOrZero(s.Start), Ended: timeOrZero(s.End)}
	}
	return nil
}

func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// TimeOrNil is a time in UTC for JSON, where the zero time is left out.
func TimeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// JSON is json.Marshal, indented and without the escapes that are for HTML.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

// WriteJSON writes a value as [JSON], with unprintable characters escaped.
func WriteJSON(w io.Writer, v any) error {
	b, err := JSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(sync.PlainJSON(b))
	return err
}
