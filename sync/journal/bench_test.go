package journal

import (
	"fmt"
	gosync "sync"
	"testing"
	"time"

	"cwvault/sync"
)

// BenchmarkStep is one step as a run journals it, intent and result, both
// durable, by eight callers at once.
func BenchmarkStep(b *testing.B) {
	for name, place := range map[string]func(testing.TB) string{"sqlite": newSQLite, "postgres": newPostgres} {
		b.Run(name, func(b *testing.B) {
			j, _ := mustHold(b, place(b), nil)
			run := mustStart(b, j)
			start := time.Now()
			b.ResetTimer()
			var all gosync.WaitGroup
			for w := range 8 {
				all.Go(func() {
					for seq := w; seq < b.N; seq += 8 {
						err := j.Begin(b.Context(), run, seq, StepRecord{Op: "create", Key: sync.CompanyKey(seq + 1), Parent: "4711",
							Name: "Alovet, Inc.", To: `\Clients\Customer\Active\Alovet, Inc.`})
						if err == nil {
							err = j.End(b.Context(), run, seq, "done", "4712", "")
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "steps/s")
		})
	}
}

// BenchmarkConclude writes 100,000 places to a new journal in one transaction,
// and reads them back.
func BenchmarkConclude(b *testing.B) {
	const n = 100_000
	places := make([]KnownPlace, n)
	for i := range places {
		places[i] = KnownPlace{Key: sync.CompanyKey(i + 1), FolderID: fmt.Sprint(i), Parent: "group/type:1/status:4",
			Name: fmt.Sprint("Company ", i), Path: fmt.Sprint(`\Clients\Customer\Active\Company `, i)}
	}
	for name, place := range map[string]func(testing.TB) string{"sqlite": newSQLite, "postgres": newPostgres} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				j, _ := mustHold(b, place(b), nil)
				run := mustStart(b, j)
				start := time.Now()
				ok(b, j.Conclude(b.Context(), run, Lessons{Finish: Finish{Outcome: "done"}, Places: places}))
				wrote := time.Now()
				m, err := j.Recall(b.Context())
				if err != nil || len(m.Places) != n {
					b.Fatalf("%d places, %v", len(m.Places), err)
				}
				b.ReportMetric(wrote.Sub(start).Seconds(), "s/conclude")
				b.ReportMetric(time.Since(wrote).Seconds(), "s/recall")
			}
		})
	}
}

// BenchmarkPrune concludes a run while 20,000 old ones, with 20 steps and a
// plan each, wait to be removed.
func BenchmarkPrune(b *testing.B) {
	for name, place := range map[string]func(testing.TB) string{"sqlite": newSQLite, "postgres": newPostgres} {
		b.Run(name, func(b *testing.B) {
			c := newClock()
			j, _ := mustHold(b, place(b), c.now)
			fillRuns(b, j, 20_000, 20)
			c.add(100 * 24 * time.Hour)
			for b.Loop() {
				ok(b, j.Conclude(b.Context(), mustStart(b, j), Lessons{Finish: Finish{Outcome: "done"}, KeepDays: 90}))
			}
		})
	}
}
