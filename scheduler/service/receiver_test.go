package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"

	"cwvault/scheduler/api"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"
)

// testDelivery is a delivery that says itself how verifying it goes.
type testDelivery struct {
	ID     int
	Action string
	Entity *string
	Takes  time.Duration
	Fails  string // "forged" or another error
}

func (d testDelivery) body(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// updated is a delivery of a company with a version of its record.
func updated(id int, version string) testDelivery {
	return testDelivery{ID: id, Action: "updated", Entity: &version}
}

func deleted(id int) testDelivery { return testDelivery{ID: id, Action: "deleted"} }

func (d testDelivery) slow(takes time.Duration) testDelivery { d.Takes = takes; return d }
func (d testDelivery) fails(why string) testDelivery         { d.Fails = why; return d }

// asking is a run that was asked for, and when.
type asking struct {
	At        time.Duration
	Companies []int
}

// testReceiver is a receiver in a bubble of [synctest].
type testReceiver struct {
	*receiver
	t      *testing.T
	start  time.Time
	log    bytes.Buffer
	mu     gosync.Mutex
	asked  []asking
	checks int // verifications
}

func newTestReceiver(t *testing.T) *testReceiver {
	r := &testReceiver{t: t, start: time.Now()}
	r.receiver = newReceiver(r.check, func() time.Duration { return 3 * time.Second }, func(companies []int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, asking{time.Since(r.start), companies})
	}, hclog.New(&hclog.LoggerOptions{Output: &r.log}))
	return r
}

func (r *testReceiver) check(ctx context.Context, body []byte, _ string) (Event, error) {
	r.mu.Lock()
	r.checks++
	r.mu.Unlock()
	var d testDelivery
	if err := json.Unmarshal(body, &d); err != nil {
		return Event{}, err
	}
	select {
	case <-time.After(d.Takes):
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
	switch d.Fails {
	case "":
		return Event{Company: d.ID, Action: d.Action}, nil
	case "forged":
		return Event{}, fmt.Errorf("%w: \x1b[2Jthe signature is wrong", api.ErrForged)
	}
	return Event{}, errors.New(d.Fails)
}

// give hands a delivery in, and fails unless that is answered in time.
func (r *testReceiver) give(d testDelivery, signature string) error {
	r.t.Helper()
	began := time.Now()
	err := r.take(r.t.Context(), d.body(r.t), signature)
	if took := time.Since(began); took > answerTime {
		r.t.Errorf("answered after %v", took)
	}
	return err
}

// wait lets time pass.
func (r *testReceiver) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReceiver(t *testing.T) {
	type given struct {
		at   time.Duration
		what testDelivery
		sign string
		want error
	}
	const ms, s, h = time.Millisecond, time.Second, time.Hour
	many := func(n int) (all []given) {
		for i := range n {
			all = append(all, given{0, updated(n-i, "a"), "s", nil})
		}
		return all
	}
	ids := func(n int) (all []int) {
		for i := range n {
			all = append(all, i+1)
		}
		return all
	}
	for name, test := range map[string]struct {
		given []given
		asked []asking
	}{
		"one": {
			[]given{{1 * s, updated(7, "a"), "s", nil}},
			[]asking{{4 * s, []int{7}}},
		},
		"several within the window, in order and once each": {
			[]given{{0, updated(9, "a"), "s", nil}, {1 * s, updated(7, "a"), "s", nil}, {2 * s, updated(9, "b"), "s", nil}},
			[]asking{{3 * s, []int{7, 9}}},
		},
		"a steady stream does not put the run off": {
			[]given{{0, updated(1, "a"), "s", nil}, {2 * s, updated(2, "a"), "s", nil}, {4 * s, updated(3, "a"), "s", nil}, {6 * s, updated(4, "a"), "s", nil}},
			[]asking{{3 * s, []int{1, 2}}, {7 * s, []int{3, 4}}},
		},
		"the same again does nothing, for a day": {
			[]given{
				{0, updated(7, "a"), "s", nil}, {1 * s, updated(7, "a"), "s", nil}, {10 * s, updated(7, "a"), "s", nil},
				{23 * h, updated(7, "a"), "s", nil}, {24*h + s, updated(7, "a"), "s", nil}, {25 * h, updated(7, "a"), "s", nil},
			},
			[]asking{{3 * s, []int{7}}, {24*h + 4*s, []int{7}}},
		},
		"another change of the same company": {
			[]given{{0, updated(7, "a"), "s", nil}, {10 * s, updated(7, "b"), "s", nil}},
			[]asking{{3 * s, []int{7}}, {13 * s, []int{7}}},
		},
		"a second delete counts after minutes, and a flood of one causes few runs": {
			[]given{
				{0, deleted(7), "s", nil}, {1 * s, deleted(7), "s", nil}, {4 * time.Minute, deleted(7), "s", nil},
				{6 * time.Minute, deleted(7), "s", nil}, {7 * time.Minute, deleted(7), "s", nil},
			},
			[]asking{{3 * s, []int{7}}, {6*time.Minute + 3*s, []int{7}}},
		},
		"another signature is another delivery": {
			[]given{{0, updated(7, "a"), "s", nil}, {10 * s, updated(7, "a"), "t", nil}},
			[]asking{{3 * s, []int{7}}, {13 * s, []int{7}}},
		},
		"forged": {
			[]given{{0, updated(7, "a").fails("forged"), "s", api.ErrForged}},
			nil,
		},
		"undecided, then good": {
			[]given{{0, updated(7, "a").slow(4 * s), "s", api.ErrUndecided}},
			[]asking{{7 * s, []int{7}}},
		},
		"undecided, then forged": {
			[]given{{0, updated(7, "a").slow(4 * s).fails("forged"), "s", api.ErrUndecided}},
			nil,
		},
		"undecided, and given again meanwhile and afterwards": {
			[]given{
				{0, updated(7, "a").slow(1200 * ms), "s", api.ErrUndecided},
				{900 * ms, updated(7, "a").slow(1200 * ms), "s", nil},
				{2 * s, updated(7, "a").slow(1200 * ms), "s", nil},
			},
			[]asking{{4200 * ms, []int{7}}},
		},
		"it cannot be told, and can later": {
			[]given{
				{0, updated(7, "a").fails("no answer"), "s", api.ErrTooMany},
				{2 * s, updated(7, "a"), "s", nil},
			},
			[]asking{{5 * s, []int{7}}},
		},
		"it can never be told": {
			[]given{{0, updated(7, "a").slow(h), "s", api.ErrUndecided}, {12 * s, updated(8, "a"), "s", nil}},
			[]asking{{15 * s, []int{8}}},
		},
		"as many as are named": {many(maxNamed), []asking{{3 * s, ids(maxNamed)}}},
		"too many to name":     {many(maxNamed + 1), []asking{{3 * s, nil}}},
		"far too many to name": {many(5 * maxNamed), []asking{{3 * s, nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTestReceiver(t)
				defer r.close()
				for i, g := range test.given {
					r.wait(time.Until(r.start.Add(g.at)))
					if err := r.give(g.what, g.sign); err != g.want {
						t.Errorf("delivery %d at %v: %v, want %v", i, g.at, err, g.want)
					}
				}
				r.receiver.mu.Lock()
				if n := len(r.changed); n > maxNamed+1 {
					t.Errorf("%d companies are kept in mind", n)
				}
				r.receiver.mu.Unlock()
				r.wait(time.Minute)
				if diff := cmp.Diff(test.asked, r.asked); diff != "" {
					t.Errorf("runs asked for (-want +got):\n%s", diff)
				}
				if r.changed != nil || len(r.verifying) != 0 {
					t.Errorf("left: %d companies, %d verifications", len(r.changed), len(r.verifying))
				}
			})
		})
	}
}

// TestReceiverIsBounded gives more at once than is verified at a time.
func TestReceiverIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReceiver(t)
		defer r.close()
		errs := make(chan error)
		const copies = 3 // of the same delivery: they share a verification
		for i := range maxVerifying {
			for range copies {
				go func() { errs <- r.give(updated(i+1, "a").slow(5*time.Second), "s") }()
			}
		}
		synctest.Wait()
		if err := r.give(updated(1000, "a"), "s"); err != api.ErrTooMany {
			t.Errorf("one too many: %v", err)
		}
		for range copies * maxVerifying {
			if err := <-errs; err != api.ErrUndecided {
				t.Errorf("one that waits: %v", err)
			}
		}
		if r.checks != maxVerifying {
			t.Errorf("%d verifications, want %d", r.checks, maxVerifying)
		}
		r.wait(5 * time.Second)
		if err := r.give(updated(1000, "a"), "s"); err != nil {
			t.Errorf("when there is room again: %v", err)
		}
		r.wait(5 * time.Second)
		if len(r.asked) != 1 || len(r.asked[0].Companies) != maxVerifying+1 {
			t.Errorf("asked for %v", r.asked)
		}
	})
}

// TestReceiverForgetsTheOldest gives more than is remembered.
func TestReceiverForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReceiver(t)
		defer r.close()
		give := func(d testDelivery) {
			t.Helper()
			if err := r.give(d, "s"); err != nil {
				t.Fatal(err)
			}
		}
		give(deleted(1))
		r.wait(10 * time.Minute)
		give(deleted(1)) // forgotten, and remembered anew
		for i := range maxSeen - 1 {
			give(updated(2, fmt.Sprint(i)))
		}
		r.wait(time.Minute)
		r.asked = nil
		give(deleted(1)) // just not forgotten
		r.wait(time.Minute)
		if r.asked != nil {
			t.Errorf("asked for %v", r.asked)
		}
		give(updated(2, "one more"))
		r.wait(time.Minute)
		if len(r.seen) != maxSeen || len(r.order) != maxSeen {
			t.Errorf("%d remembered in %d places, want %d", len(r.seen), len(r.order), maxSeen)
		}
		for _, d := range r.order {
			if _, known := r.seen[d]; !known {
				t.Fatal("a place of nothing")
			}
		}
		r.asked = nil
		give(updated(2, "0")) // still known
		give(deleted(1))      // forgotten
		r.wait(time.Minute)
		want := []asking{{At: 0, Companies: []int{1}}}
		if diff := cmp.Diff(want, r.asked, cmpopts.IgnoreFields(asking{}, "At")); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
	})
}

// TestReceiverCloses closes in the middle of everything. The bubble fails if a
// goroutine is left.
func TestReceiverCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReceiver(t)
		if err := r.give(updated(1, "a"), "s"); err != nil { // opens a window
			t.Fatal(err)
		}
		if err := r.give(updated(2, "a").slow(5*time.Second), "s"); err != api.ErrUndecided {
			t.Fatal(err)
		}
		waits := make(chan error)
		go func() { waits <- r.give(updated(3, "a").slow(5*time.Second), "s") }()
		synctest.Wait()
		r.close()
		if err := <-waits; err != api.ErrTooMany {
			t.Errorf("one that was waiting: %v", err)
		}
		if err := r.give(updated(4, "a"), "s"); err != api.ErrTooMany {
			t.Errorf("one that comes later: %v", err)
		}
		r.close()
		if len(r.asked) != 0 || strings.Contains(r.log.String(), "WARN") {
			t.Errorf("asked for %v, and said\n%s", r.asked, &r.log)
		}
	})
}

// TestReceiverAnswersWhoLeaves ends the request while its delivery is verified,
// which goes on.
func TestReceiverAnswersWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReceiver(t)
		defer r.close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.take(ctx, updated(7, "a").slow(time.Second).body(t), "s"); err != api.ErrUndecided || time.Since(r.start) != 0 {
			t.Errorf("after %v: %v", time.Since(r.start), err)
		}
		r.wait(time.Minute)
		if diff := cmp.Diff([]asking{{4 * time.Second, []int{7}}}, r.asked); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
	})
}

// TestReceiverSaysLittle floods it with forgeries: they fill neither the log nor
// the memory, and their words are harmless.
func TestReceiverSaysLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestReceiver(t)
		defer r.close()
		for i := range 1000 {
			if err := r.give(updated(i+1, "a").fails("forged"), "s"); err != api.ErrForged {
				t.Fatal(err)
			}
			r.wait(100 * time.Millisecond)
		}
		lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "a callback was refused") || !strings.Contains(lines[0], `\u001b[2J`) {
			t.Errorf("in 100 seconds it said\n%s", &r.log)
		}
		if len(r.seen)+len(r.order)+len(r.verifying) != 0 {
			t.Error("forgeries are remembered")
		}
	})
}

func TestDeliveriesAreToldApart(t *testing.T) {
	seen := []delivery{newDelivery([]byte("bc"), "a")}
	for _, other := range []struct{ body, signature string }{{"c", "ab"}, {"abc", ""}, {"", "abc"}, {"bc", "b"}, {"bd", "a"}} {
		d := newDelivery([]byte(other.body), other.signature)
		if slices.Contains(seen, d) {
			t.Errorf("%q with %q is taken for another", other.body, other.signature)
		}
		seen = append(seen, d)
	}
	if seen[0] != newDelivery([]byte("bc"), "a") {
		t.Error("the same is told apart")
	}
}
