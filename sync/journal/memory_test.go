package journal

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

func noMemory() Memory {
	return Memory{Places: map[sync.Key]KnownPlace{}, Pauses: map[sync.Key]Pause{}, Failures: map[sync.Key]Failure{}, Pending: map[sync.Key]PendingMove{}}
}

func recall(t testing.TB, j *Journal) Memory {
	t.Helper()
	m, err := j.Recall(t.Context())
	ok(t, err)
	return m
}

func wantMemory(t testing.TB, want Memory, j *Journal) {
	t.Helper()
	if diff := cmp.Diff(want, recall(t, j)); diff != "" {
		t.Errorf("memory (-want +got):\n%s", diff)
	}
}

// What Conclude, Begin and Pause have written is what Recall returns, also to
// one who may only read.
func TestRecall(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		missing, err := OpenReadOnly(ctx, state, Options{Now: c.now})
		ok(t, err)
		defer missing.Close()
		wantMemory(t, noMemory(), missing)

		j, _ := mustHold(t, state, c.now)
		wantMemory(t, noMemory(), j)

		start := c.now()
		run := mustStart(t, j)
		ok(t, j.Begin(ctx, run, 4, StepRecord{Op: "create", Key: "company/6", Parent: sync.RootKey, Name: "Six" + odd, To: `\Clients\Six`}))
		print := Fingerprint{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Kunden Ü`, RootID: "7", Layout: "a\nb"}
		ok(t, j.Conclude(ctx, run, Lessons{
			Finish:      Finish{Outcome: "partial", Good: true, Companies: 812},
			Places:      []KnownPlace{{Key: "company/1", FolderID: "21" + odd, Parent: "group/type:1", Name: "One" + odd, Path: `\Clients\One`}, {Key: "group/type:1", Parent: sync.RootKey}},
			Failed:      map[sync.Key]string{"company/3": "no" + odd},
			Pending:     map[sync.Key]string{"company/4": `\Clients\B` + odd},
			Fingerprint: &print,
		}))
		c.add(time.Hour)
		ok(t, j.Pause(ctx, "company/5", "contract"))
		ok(t, j.FinishRun(ctx, mustStart(t, j), Finish{Outcome: "failed", Companies: 3}))

		reader, err := OpenReadOnly(ctx, state, Options{Now: c.now})
		ok(t, err)
		defer reader.Close()
		for _, j := range []*Journal{j, reader} {
			wantMemory(t, Memory{
				Fingerprint: &print,
				LastGood:    &GoodRun{RunID: run, Companies: 812, At: start},
				Places: map[sync.Key]KnownPlace{
					"company/1":    {Key: "company/1", FolderID: "21" + odd, Parent: "group/type:1", Name: "One" + odd, Path: `\Clients\One`},
					"group/type:1": {Key: "group/type:1", Parent: sync.RootKey},
				},
				Intents:  []Intent{{RunID: run, Seq: 4, Key: "company/6", Parent: sync.RootKey, Name: "Six" + odd, Path: `\Clients\Six`, Began: start}},
				Pauses:   map[sync.Key]Pause{"company/5": {Key: "company/5", Reason: "contract", Since: c.now()}},
				Failures: map[sync.Key]Failure{"company/3": {Key: "company/3", Count: 1, First: start, Last: start, Next: start, Error: "no" + odd}},
				Pending:  map[sync.Key]PendingMove{"company/4": {Key: "company/4", To: `\Clients\B` + odd, Since: start}},
			}, j)
		}
	})
}

// A run must not learn half of what another one has left.
func TestRecallSeesOneMoment(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		run := mustStart(t, j)
		reader := mustOpen(t, state, nil)
		_, err := readAt(t.Context(), reader, "recall", func(ctx context.Context, q querier) (none struct{}, err error) {
			if good, err := readLastGood(ctx, q); good != nil || err != nil {
				t.Errorf("a good run before there is one: %v, %v", good, err)
			}
			ok(t, j.Conclude(ctx, run, Lessons{Finish: Finish{Outcome: "done", Good: true}, Places: []KnownPlace{{Key: "company/1"}}}))
			if places, err := readPlaces(ctx, q); len(places) > 0 || err != nil {
				t.Errorf("places from after the beginning: %v, %v", places, err)
			}
			return none, nil
		})
		ok(t, err)
		if m := recall(t, reader); m.LastGood == nil || len(m.Places) != 1 {
			t.Errorf("a new reading has %+v", m)
		}
	})
}

func TestRecallTellsWhatFails(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		for _, table := range []string{"meta", "run", "place", "step", "pause", "failure", "want"} {
			j := mustOpen(t, state, nil)
			away := takeAway(t, j, "cwvault_"+table)
			if m, err := j.Recall(t.Context()); err == nil {
				t.Errorf("without %s: %+v", table, m)
			}
			away()
			wantMemory(t, noMemory(), j)
		}
	})
}

func TestIntents(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		first := mustStart(t, j)
		create := func(key sync.Key, name string) StepRecord {
			return StepRecord{Op: "create", Key: key, Parent: "7", Name: name, To: `\Clients\` + name}
		}
		ok(t, j.Begin(ctx, first, 0, create("company/1", "Done")))
		ok(t, j.End(ctx, first, 0, "done", "70", ""))
		ok(t, j.Begin(ctx, first, 1, create("company/2", "Two")))
		ok(t, j.Begin(ctx, first, 2, StepRecord{Op: "move", Key: "company/3", FolderID: "30"}))
		second := mustStart(t, j)
		ok(t, j.Begin(ctx, second, 0, create("company/4", "Four")))
		ok(t, j.Begin(ctx, second, 1, create("company/2", "Two")))
		ok(t, j.Skip(ctx, second, 2, create("company/5", "Five"), "skipped", ""))

		intent := func(run int64, seq int, key sync.Key, name string) Intent {
			return Intent{RunID: run, Seq: seq, Key: key, Parent: "7", Name: name, Path: `\Clients\` + name, Began: c.now()}
		}
		check := func(want ...Intent) {
			t.Helper()
			if diff := cmp.Diff(want, recall(t, j).Intents); diff != "" {
				t.Errorf("intents (-want +got):\n%s", diff)
			}
		}
		check(intent(first, 1, "company/2", "Two"), intent(second, 0, "company/4", "Four"), intent(second, 1, "company/2", "Two"))
		mustConclude(t, j, second, Lessons{Settled: []sync.Key{"company/2", "company/99"}})
		check(intent(second, 0, "company/4", "Four"))
		// A later run that found the folder can say so in the run that made it.
		ok(t, j.End(ctx, second, 0, "done", "71", ""))
		check()

		info, err := j.Run(ctx, first)
		ok(t, err)
		if info.Outcome != Interrupted {
			t.Errorf("a run that never finished has the outcome %q", info.Outcome)
		}
		var status []string
		for s, err := range j.Steps(ctx, first) {
			ok(t, err)
			status = append(status, s.Status)
		}
		if diff := cmp.Diff([]string{"done", Interrupted, ""}, status); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	})
}

func TestPlaces(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		want := map[sync.Key]KnownPlace{}
		for _, n := range []int{2*partSize + 5, partSize, 0} { // more than a statement holds; later runs replace some
			var places []KnownPlace
			for i := range n {
				p := KnownPlace{Key: sync.CompanyKey(i + 1), FolderID: fmt.Sprint(n, odd), Parent: "group/type:1", Name: odd, Path: `\` + odd}
				places = append(places, p)
				want[p.Key] = p
			}
			learn(t, j, Lessons{Places: places})
			if diff := cmp.Diff(want, recall(t, j).Places); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		}
	})
}

func TestLastGood(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		var want GoodRun
		for i, f := range []Finish{
			{Outcome: "done", Good: true, Companies: 900},
			{Outcome: "partial", Good: true, Companies: 812},
			{Outcome: "refused", Good: false, Companies: 3},
		} {
			c.add(time.Hour)
			id := mustStart(t, j)
			ok(t, j.FinishRun(ctx, id, f))
			if i == 1 {
				want = GoodRun{RunID: id, Companies: 812, At: c.now()}
			}
		}
		c.add(time.Hour)
		mustStart(t, j) // runs still
		if diff := cmp.Diff(&want, recall(t, j).LastGood); diff != "" {
			t.Errorf("last good run (-want +got):\n%s", diff)
		}
	})
}

func TestFingerprint(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j, _ := mustHold(t, state, nil)
		for _, want := range []Fingerprint{
			{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Clients`, RootID: "7", Layout: "abc"},
			{Tenant: "acmeinc", Vault: "https://vault.example.com", Root: `\Kunden Ü`, RootID: "8", Layout: "def"},
		} {
			learn(t, j, Lessons{Fingerprint: &want})
			learn(t, j, Lessons{}) // keeps it
			if diff := cmp.Diff(&want, recall(t, j).Fingerprint); diff != "" {
				t.Errorf("fingerprint (-want +got):\n%s", diff)
			}
		}
	})
}

func TestPauses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j := mustOpen(t, state, c.now) // a person pauses beside the run that has the lease
		since := c.now()
		ok(t, j.Pause(ctx, "company/1", "contract ends"))
		c.add(time.Hour)
		ok(t, j.Pause(ctx, "company/1", "contract ended"))
		ok(t, j.Pause(ctx, "company/2", ""))
		if diff := cmp.Diff(map[sync.Key]Pause{
			"company/1": {Key: "company/1", Reason: "contract ended", Since: since},
			"company/2": {Key: "company/2", Since: c.now()},
		}, recall(t, j).Pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		for _, want := range []bool{true, false} {
			if was, err := j.Unpause(ctx, "company/1"); was != want || err != nil {
				t.Errorf("unpause: %v, %v; want %v", was, err, want)
			}
		}
		if left := recall(t, j).Pauses; len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestFailuresRestLongerEachTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		c := newClock()
		j, _ := mustHold(t, state, c.now)
		first := c.now()
		var rests []time.Duration
		for i := range 8 {
			c.add(30 * time.Minute)
			if i == 0 {
				first = c.now()
			}
			learn(t, j, Lessons{Failed: map[sync.Key]string{"company/1": fmt.Sprint("attempt ", i+1)}})
			f := recall(t, j).Failures["company/1"]
			rests = append(rests, f.Next.Sub(c.now()))
			if diff := cmp.Diff(Failure{Key: "company/1", Count: i + 1, First: first, Last: c.now(), Next: f.Next,
				Error: fmt.Sprint("attempt ", i+1)}, f); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		}
		h := time.Hour
		if diff := cmp.Diff([]time.Duration{0, h, 2 * h, 4 * h, 8 * h, 16 * h, 24 * h, 24 * h}, rests); diff != "" {
			t.Errorf("rests (-want +got):\n%s", diff)
		}

		c.add(-1000 * h)
		if next := recall(t, j).Failures["company/1"].Next; !next.Equal(c.now()) {
			t.Errorf("after the clock was set back the next attempt is at %v", next)
		}
		learn(t, j, Lessons{Failed: map[sync.Key]string{"company/2": strings.Repeat("ü", maxError)}, Succeeded: []sync.Key{"company/1", "company/99"}})
		all := recall(t, j).Failures
		if len(all) != 1 || len(all["company/2"].Error) > maxError+4 || !strings.HasPrefix(all["company/2"].Error, "üü") {
			t.Errorf("left: %v", all)
		}
	})
}

func TestPendingSince(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		c := newClock()
		j, _ := mustHold(t, state, c.now)
		start := c.now()
		for _, step := range []struct {
			what    string
			pass    time.Duration
			pending map[sync.Key]string
			not     []sync.Key
			want    map[sync.Key]time.Duration // since when, after start
		}{
			{"at first", 0, map[sync.Key]string{"company/1": "a", "company/2": "x"}, nil, map[sync.Key]time.Duration{"company/1": 0, "company/2": 0}},
			{"the same place", time.Hour, map[sync.Key]string{"company/1": "a"}, nil, map[sync.Key]time.Duration{"company/1": 0, "company/2": 0}},
			{"another place", 0, map[sync.Key]string{"company/1": "b"}, nil, map[sync.Key]time.Duration{"company/1": time.Hour, "company/2": 0}},
			{"the clock set back", -9 * time.Hour, map[sync.Key]string{"company/1": "b"}, nil, map[sync.Key]time.Duration{"company/1": -8 * time.Hour, "company/2": 0}},
			{"no longer", 0, nil, []sync.Key{"company/1", "company/99"}, map[sync.Key]time.Duration{"company/2": 0}},
		} {
			c.add(step.pass)
			learn(t, j, Lessons{Pending: step.pending, NotPending: step.not})
			got := map[sync.Key]time.Duration{}
			for key, move := range recall(t, j).Pending {
				got[key] = move.Since.Sub(start)
			}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s: pending since (-want +got):\n%s", step.what, diff)
			}
		}
	})
}
