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
						err := j.Begin(b.Context(), run, seq, StepRecord{Op: "create", Key: sync.CompanyKey(seq + 1), ParentID: "4711",
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

// BenchmarkPlaces writes 100,000 places to a new journal and reads them back.
func BenchmarkPlaces(b *testing.B) {
	const n = 100_000
	places := make([]Place, n)
	for i := range places {
		places[i] = Place{Key: sync.CompanyKey(i + 1), FolderID: fmt.Sprint(i), ParentKey: "group/type:1/status:4",
			Name: fmt.Sprint("Company ", i), Path: fmt.Sprint(`\Clients\Customer\Active\Company `, i)}
	}
	for name, place := range map[string]func(testing.TB) string{"sqlite": newSQLite, "postgres": newPostgres} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				j, _ := mustHold(b, place(b), nil)
				start := time.Now()
				ok(b, j.PutPlaces(b.Context(), places))
				wrote := time.Now()
				got, err := j.Places(b.Context())
				if err != nil || len(got) != n {
					b.Fatalf("%d places, %v", len(got), err)
				}
				b.ReportMetric(wrote.Sub(start).Seconds(), "s/write")
				b.ReportMetric(time.Since(wrote).Seconds(), "s/read")
			}
		})
	}
}
