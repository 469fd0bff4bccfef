package journal

import "testing"

// Recall has in one reading what seven methods had.
func TestRecallIsTheSevenReads(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, c := t.Context(), newClock()
		j, _ := mustHold(t, state, c.now)
		run, l := lessonsOfAll(t, j, c)
		ok(t, j.Begin(ctx, run, 1, StepRecord{Op: "create", Key: "company/8"}))
		mustConclude(t, j, run, l)
		ok(t, j.Pause(ctx, "company/9", "contract"))

		var m Memory
		print, found, err := j.Fingerprint(ctx)
		if ok(t, err); found {
			m.Fingerprint = &print
		}
		good, found, err := j.LastGood(ctx)
		if ok(t, err); found {
			m.LastGood = &good
		}
		m.Places, err = j.Places(ctx)
		ok(t, err)
		m.Intents, err = j.Intents(ctx)
		ok(t, err)
		m.Pauses, err = j.Pauses(ctx)
		ok(t, err)
		m.Failures, err = j.Failures(ctx)
		ok(t, err)
		m.Pending, err = j.Wants(ctx)
		ok(t, err)
		wantMemory(t, m, j)
		if n := empty(m); n > 0 {
			t.Errorf("%d parts are empty", n)
		}
	})
}

// empty counts the parts of a memory that are empty.
func empty(m Memory) (n int) {
	for _, is := range []bool{m.Fingerprint == nil, m.LastGood == nil, len(m.Places) == 0, len(m.Intents) == 0, len(m.Pauses) == 0, len(m.Failures) == 0, len(m.Pending) == 0} {
		if is {
			n++
		}
	}
	return n
}
