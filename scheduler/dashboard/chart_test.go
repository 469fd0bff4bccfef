package dashboard

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/scheduler/api"
)

func TestChart(t *testing.T) {
	at := func(min int) time.Time { return noon.Add(time.Duration(min) * time.Minute) }
	ended := func(min, sec int) *time.Time { end := at(min).Add(time.Duration(sec) * time.Second); return &end }
	got := makeChart([]api.Run{ // the newest first
		{Number: 9, Start: at(40), Outcome: "running"},
		{Number: 8, Start: at(30), End: ended(30, 4), Outcome: "partial", Counts: map[string]int{"move": 3, "create": 1, "held": 50, "departed": 7, "unchanged": 900}},
		{Number: 7, Start: at(20), Outcome: "interrupted", Counts: map[string]int{"create": 1}},
		{Number: 5, Start: at(10), End: ended(10, 16), Outcome: "failed"},
		{Number: 4, Start: at(0), End: ended(-5, 0), Outcome: "done", Counts: map[string]int{"archive": 16}}, // the clock was set back
	})
	const (
		failedTitle      = "Run 5, 2026-11-22 12:10 UTC: failed, 0 changes, took 16 s"
		interruptedTitle = "Run 7, 2026-11-22 12:20 UTC: interrupted, 1 change"
		partialTitle     = "Run 8, 2026-11-22 12:30 UTC: partial, 4 changes, took 4 s"
	)
	want := chart{
		Width: 480, Height: 60, Most: 16, Longest: 16 * time.Second, Oldest: 4, Newest: 9,
		Changes: []chartBox{
			{X: 422, Y: 0, W: 8, H: 60, Class: "done", Title: "Run 4, 2026-11-22 12:00 UTC: done, 16 changes"},
			{X: 446, Y: 45, W: 8, H: 15, Class: "interrupted", Title: interruptedTitle},
			{X: 458, Y: 30, W: 8, H: 30, Class: "partial", Title: partialTitle},
		},
		Durations: []chartBox{
			{X: 434, Y: 0, W: 8, H: 60, Class: "failed", Title: failedTitle},
			{X: 458, Y: 30, W: 8, H: 30, Class: "partial", Title: partialTitle},
		},
		Troubles: []chartBox{
			{X: 434, W: 8, H: 60, Class: "failed", Title: failedTitle},
			{X: 446, W: 8, H: 60, Class: "interrupted", Title: interruptedTitle},
			{X: 458, W: 8, H: 60, Class: "partial", Title: partialTitle},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(chart{Width: 480, Height: 60}, makeChart(nil)); diff != "" {
		t.Errorf("without runs (-want +got)\n%s", diff)
	}
}

// TestChartShowsTheLeast: one change stays visible beside a million.
func TestChartShowsTheLeast(t *testing.T) {
	c := makeChart([]api.Run{{Number: 2, Counts: map[string]int{"create": 1}}, {Number: 1, Counts: map[string]int{"create": 1_000_000}}})
	if got := c.Changes[1]; got.H != 2 || got.Y != 58 {
		t.Errorf("%+v", got)
	}
}
