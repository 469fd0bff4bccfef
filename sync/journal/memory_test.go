package journal

import (
	"context"
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
