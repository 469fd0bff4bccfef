package sync_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// recorder keeps what it is told and checks that it is told in order.
type recorder struct {
	mu     gosync.Mutex
	begun  []string // keys, in order
	ended  map[int]sync.Result
	wrong  []string
	onStep func(begin bool, s sync.Step) error // nil: nothing
}

func (r *recorder) Begin(_ context.Context, index int, s sync.Step, _ sync.Place) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ended := r.ended[index]; ended || slices.Contains(r.begun, string(s.Key)) {
		r.wrong = append(r.wrong, fmt.Sprintf("%s begins again", s.Key))
	}
	r.begun = append(r.begun, string(s.Key))
	if r.onStep != nil {
		return r.onStep(true, s)
	}
	return nil
}

func (r *recorder) End(ctx context.Context, index int, s sync.Step, _ sync.Place, result sync.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.ended[index]; twice {
		r.wrong = append(r.wrong, fmt.Sprintf("%s ends twice", s.Key))
	}
	if result.Status == sync.StatusDone && !slices.Contains(r.begun, string(s.Key)) {
		r.wrong = append(r.wrong, fmt.Sprintf("%s is done and never began", s.Key))
	}
	if ctx.Err() != nil {
		r.wrong = append(r.wrong, fmt.Sprintf("%s ends with a context that is over", s.Key))
	}
	if r.ended == nil {
		r.ended = map[int]sync.Result{}
	}
	r.ended[index] = result
	if r.onStep != nil {
		return r.onStep(false, s)
	}
	return nil
}

// results writes what a report says, one line a step. Unsettled steps, whose
// intent is to be kept, are marked with a question mark.
func results(p sync.Program, r sync.Report) string {
	var b strings.Builder
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%s %s", r.Results[i].Status, s.Key)
		if r.Results[i].Unsettled {
			b.WriteByte('?')
		}
		if err := r.Results[i].Err; err != nil {
			b.WriteString(": " + err.Error())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// wide is a world of many independent steps.
func wide(n int) text {
	c := text{structure: "$STATUS"}
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%d c%d C%03d - %s\n", i, i, i, []string{"Active", "Inactive", "Lost"}[i%3])
	}
	c.companies = b.String()
	return c
}

// TestApplyOrder sees that the same comes out whatever the number of workers,
// and that one worker follows the plan's own order.
func TestApplyOrder(t *testing.T) {
	vias := 0
	for name, c := range planCases {
		want := ""
		for _, workers := range []int{0, 1, 2, 8, 100} {
			v := readVault(t, c.vault)
			p := c.text.plan(t, v.Snapshot())
			rec := &recorder{}
			report := sync.Apply(context.Background(), v, p, workers, rec)
			if got := report.Count(sync.StatusDone); got != len(p.Steps) {
				t.Errorf("%s: %d workers:\n%s", name, workers, results(p, report))
			}
			if len(rec.wrong) > 0 || len(rec.ended) != len(p.Steps) {
				t.Errorf("%s: %d workers: the recorder says %v, and that %d ended", name, workers, rec.wrong, len(rec.ended))
			}
			if workers <= 1 {
				var keys []string
				for _, s := range p.Steps {
					keys = append(keys, string(s.Key))
					if s.Via != "" {
						vias++
					}
				}
				if diff := cmp.Diff(keys, rec.begun); diff != "" {
					t.Errorf("%s: one worker begins in another order than the plan's:\n%s", name, diff)
				}
			}
			if want == "" {
				want = v.String()
			}
			if diff := cmp.Diff(want, v.String()); diff != "" {
				t.Errorf("%s: %d workers: another vault:\n%s", name, workers, diff)
			}
		}
	}
	if vias == 0 {
		t.Error("no step went by a temporary name")
	}
}

// crowd is a vault that answers only once enough calls are under way at once.
type crowd struct {
	*memVault
	mu        gosync.Mutex
	want, now int
	most      int
	enough    chan struct{}
}

func (v *crowd) Create(ctx context.Context, parent, name string, m sync.Mark) (sync.Folder, error) {
	v.mu.Lock()
	v.now++
	v.most = max(v.most, v.now)
	if v.now == v.want && name[0] == 'C' {
		close(v.enough)
		v.want = 0
	}
	v.mu.Unlock()
	if name[0] == 'C' { // a company
		select {
		case <-v.enough:
		case <-time.After(20 * time.Second):
			return sync.Folder{}, errors.New("the others never came")
		}
	}
	defer func() {
		v.mu.Lock()
		v.now--
		v.mu.Unlock()
	}()
	return v.memVault.Create(ctx, parent, name, m)
}

func TestApplyUsesAllWorkersAndNoMore(t *testing.T) {
	c := wide(40)
	v := &crowd{memVault: newMemVault(), want: 8, enough: make(chan struct{})}
	p := c.plan(t, v.Snapshot())
	report := sync.Apply(context.Background(), v, p, 8, noRecord{})
	if report.Count(sync.StatusDone) != len(p.Steps) || len(p.Steps) != 43 {
		t.Errorf("\n%s", results(p, report))
	}
	if v.most != 8 {
		t.Errorf("%d calls at once", v.most)
	}
}

// TestApplyFindsAnothersFolder: what is there after a lost answer may have come
// from somebody else.
func TestApplyFindsAnothersFolder(t *testing.T) {
	for name, c := range map[string]struct {
		there sync.Folder
		want  string
	}{
		"another installation's": {sync.Folder{Name: "Acme", Mark: sync.Mark{Tenant: "other", Key: "company/1"}}, "folder 2 of that name exists now and is not ours"},
		"another company's":      {sync.Folder{Name: "Acme", Mark: sync.Mark{Tenant: testTenant, Key: "company/2"}}, "folder 2 of that name exists now and is not ours"},
		"with a torn mark":       {sync.Folder{Name: "Acme", BadMark: true}, "folder 2 of that name exists now and is not ours"},
		"written differently":    {sync.Folder{Name: "ACME"}, "folder 2 of that name exists now and is not ours"},
	} {
		t.Run(name, func(t *testing.T) {
			w := text{structure: "A", companies: `1 one Acme - -`, vault: `A [group/text:A]`}
			v := readVault(t, w.vault)
			p := w.plan(t, v.Snapshot())
			v.Fail = func(call int, op string) fault {
				if call == 1 { // it comes while our own create is lost
					f := v.Make("1", c.there.Name, c.there.Mark)
					f.BadMark = c.there.BadMark
					return faultCut
				}
				return noFault
			}
			before := v.String()
			report := sync.Apply(context.Background(), v, p, 1, noRecord{})
			if got := report.Results[0]; got.Status != sync.StatusFailed || got.Unsettled || !strings.HasSuffix(got.Err.Error(), c.want) {
				t.Errorf("%+v", got)
			}
			if v.Calls[len(v.Calls)-1] != "find Acme" || v.String() == before {
				t.Errorf("calls %v", v.Calls)
			}
			if f := v.Folders["2"]; f.Mark != c.there.Mark || f.BadMark != c.there.BadMark {
				t.Errorf("the folder is %+v now", f)
			}
		})
	}
}

// TestApplyStops: when the run is stopped, the step under way is finished and
// none begins any more.
func TestApplyStops(t *testing.T) {
	for name, c := range map[string]struct {
		text
		stopAt  string
		results string
		after   string
	}{
		"before anything": {
			text: text{structure: "A", companies: `1 one Acme - -`},
			results: `
				skipped group/text:A: the run was stopped before this step
				skipped company/1: the run was stopped before this step`,
		},
		"while the first is made": {
			text:    text{structure: "A", companies: `1 one Acme - -`},
			stopAt:  "create A",
			results: "done group/text:A\nskipped company/1: the run was stopped before this step",
			after:   "A [group/text:A]",
		},
		"between the halves of a step": {
			text: text{structure: "A", companies: "1 one B - -\n2 two A - -", vault: `
				A [group/text:A]
				  A [company/1]
				  B [company/2]`},
			stopAt: "update B (moving #1)",
			results: `
				skipped company/1: the run was stopped before this step
				skipped company/2: the run was stopped before this step`,
			after: `
				A [group/text:A]
				  A [company/1]
				  B [company/2]`,
		},
		"before the second half": {
			text: text{structure: "A", companies: "1 one B - -\n2 two A - -", vault: `
				A [group/text:A]
				  A [company/1]
				  B [company/2]`},
			stopAt:  "update A",
			results: "done company/1\ndone company/2",
			after: `
				A [group/text:A]
				  A [company/2]
				  B [company/1]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := readVault(t, c.vault)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			stopped := c.stopAt == ""
			if stopped {
				cancel()
			}
			v.Fail = func(_ int, op string) fault {
				if op == c.stopAt {
					cancel()
					stopped = true
				}
				return noFault
			}
			p := c.plan(t, v.Snapshot())
			rec := &recorder{}
			report := sync.Apply(ctx, watchContext{v, t}, p, 1, rec)
			if !stopped {
				t.Error("nothing stopped it")
			}
			if diff := cmp.Diff(tidy(c.results), results(p, report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(readVault(t, c.after).String(), v.String()); diff != "" {
				t.Errorf("vault (-want +got):\n%s", diff)
			}
			if len(rec.wrong) > 0 || len(rec.ended) != len(p.Steps) {
				t.Errorf("the recorder says %v, and that %d ended", rec.wrong, len(rec.ended))
			}
		})
	}
}

// TestApplyPanics has a vault that panics in the middle of one step: that step
// failed, what waits for it is skipped, and all the others are made.
func TestApplyPanics(t *testing.T) {
	in := text{structure: "A", companies: "1 one Acme - -\n2 two Bolt - -\n3 three Crane - -", vault: `
		A [group/text:A]
		  Old [company/1]
		  Acme [company/2]`}
	v := readVault(t, in.vault)
	panicked := 0
	v.Fail = func(_ int, op string) fault {
		if op == "update Bolt" {
			panicked++
			panic("a mistake")
		}
		return noFault
	}
	p := in.plan(t, v.Snapshot())
	report := sync.Apply(t.Context(), v, p, 4, &recorder{})
	if panicked != 1 {
		t.Fatalf("%d panics", panicked)
	}
	want := tidy(`
		skipped company/1: it depends on the rename of company/2, which failed
		failed company/2?: a mistake in cwvault itself: panic: a mistake
		done company/3`)
	got := strings.Split(results(p, report), "\n")
	slices.Sort(got)
	wanted := strings.Split(want, "\n")
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, r := range report.Results {
		var err *sync.PanicError
		if errors.As(r.Err, &err) != (p.Steps[i].Key == "company/2") {
			t.Errorf("%s: %v", p.Steps[i].Key, r.Err)
		} else if err != nil && (!r.Unsettled || !strings.Contains(string(err.Stack), "apply_test.go")) {
			t.Errorf("unsettled %v, stack %s", r.Unsettled, err.Stack)
		}
	}
}

// watchContext is a vault whose calls must not be cancelled half-way.
type watchContext struct {
	*memVault
	t *testing.T
}

func (v watchContext) Create(ctx context.Context, parent, name string, m sync.Mark) (sync.Folder, error) {
	f, err := v.memVault.Create(ctx, parent, name, m)
	if ctx.Err() != nil {
		v.t.Errorf("create %s is cancelled", name)
	}
	return f, err
}

func (v watchContext) Update(ctx context.Context, id, parent, name string) (sync.Folder, error) {
	f, err := v.memVault.Update(ctx, id, parent, name)
	if ctx.Err() != nil {
		v.t.Errorf("update %s is cancelled", name)
	}
	return f, err
}

func TestApplyRecorderErrors(t *testing.T) {
	errFull := errors.New("disk full")
	c := text{companies: `
		1 one Acme Customer Active
		2 two Bolt Prospect Active`}
	for name, r := range map[string]struct {
		begin   bool
		results string
		after   string
	}{
		"the intent is not recorded: nothing is written": {true, `
			failed group/type:1: record the intent: disk full
			done group/type:2
			skipped group/type:1/status:1: it depends on the create of group/type:1, which failed
			done group/type:2/status:1
			skipped company/1: it depends on the create of group/type:1, which failed
			done company/2`, `
			Prospect [group/type:2]
			  Active [group/type:2/status:1]
			    Bolt [company/2]`},
		"the result is not recorded": {false, `
			failed group/type:1: done, but not recorded: disk full
			done group/type:2
			skipped group/type:1/status:1: it depends on the create of group/type:1, which failed
			done group/type:2/status:1
			skipped company/1: it depends on the create of group/type:1, which failed
			done company/2`, `
			Customer [group/type:1]
			Prospect [group/type:2]
			  Active [group/type:2/status:1]
			    Bolt [company/2]`},
	} {
		t.Run(name, func(t *testing.T) {
			v := newMemVault()
			p := c.plan(t, v.Snapshot())
			rec := &recorder{onStep: func(begin bool, s sync.Step) error {
				if begin == r.begin && s.Key == "group/type:1" {
					return errFull
				}
				return nil
			}}
			report := sync.Apply(context.Background(), v, p, 4, rec)
			if diff := cmp.Diff(tidy(r.results), results(p, report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !errors.Is(report.Results[0].Err, errFull) {
				t.Error("the error is not wrapped")
			}
			if diff := cmp.Diff(readVault(t, r.after).String(), v.String()); diff != "" {
				t.Errorf("vault (-want +got):\n%s", diff)
			}
		})
	}
}

// TestApplyLeavesNoGoroutine counts them before and after runs that end well,
// fail and are stopped.
func TestApplyLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for i, fail := range []func(int, string) fault{
		nil,
		func(int, string) fault { return faultRefused },
		func(call int, _ string) fault { return []fault{noFault, faultCut, faultNoMark}[call%3] },
		func(int, string) fault { return faultUnauthorized },
	} {
		for _, workers := range []int{1, 50} {
			ctx, cancel := context.WithCancel(context.Background())
			if i == 2 {
				cancel()
			}
			v := newMemVault()
			v.Fail = fail
			sync.Apply(ctx, v, wide(60).plan(t, v.Snapshot()), workers, noRecord{})
			sync.Apply(ctx, v, text{}.plan(t, v.Snapshot()), workers, noRecord{})
			cancel()
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}
