package dashboard

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cwvault/scheduler/api"
	"cwvault/sync/report"
)

// The chart has one column for each run, oldest first, in two panels: its changes and
// its duration. The table below repeats everything in it, so nobody needs the chart.
const (
	chartColumn = 12 // width of a column, in units of the drawing
	chartBar    = 8  // width of its bar
	chartHeight = 60
)

// chartBox is one rectangle.
type chartBox struct {
	X, Y, W, H int
	Class      string // the outcome of the run
	Title      string
}

// chart is the drawing, in units that the style sheet scales.
type chart struct {
	Width, Height int
	Changes       []chartBox
	Durations     []chartBox
	Troubles      []chartBox // a mark below each run that did not complete
	Most          int        // changes of the tallest column
	Longest       time.Duration
	Oldest        int64
	Newest        int64
}

// makeChart draws runs, at most chartRuns, which come newest first. Heights grow with
// the square root, so that a run of two changes is visible beside one of ten thousand.
func makeChart(runs []api.Run) chart {
	c := chart{Width: chartRuns * chartColumn, Height: chartHeight}
	for _, r := range runs {
		c.Most = max(c.Most, changesOf(r))
		c.Longest = max(c.Longest, took(r))
	}
	for i, r := range slices.Backward(runs) {
		box := chartBox{
			X: (chartRuns-1-i)*chartColumn + (chartColumn-chartBar)/2, W: chartBar, Class: className(string(r.Outcome)),
			Title: fmt.Sprintf("Run %d, %s: %s, %s", r.Number, stamp(r.Start), plain(string(r.Outcome)), report.Count(changesOf(r), "change")),
		}
		if d := took(r); d > 0 {
			box.Title += ", took " + duration(d)
			c.Durations = append(c.Durations, box.tall(float64(d), float64(c.Longest)))
		}
		if n := changesOf(r); n > 0 {
			c.Changes = append(c.Changes, box.tall(float64(n), float64(c.Most)))
		}
		if r.Outcome != report.Done && r.Outcome != report.Running {
			box.H = chartHeight
			c.Troubles = append(c.Troubles, box)
		}
	}
	if len(runs) > 0 {
		c.Newest, c.Oldest = runs[0].Number, runs[len(runs)-1].Number
	}
	return c
}

// tall returns the box with the height for n, where most has the full height. It is
// at least 2.
func (b chartBox) tall(n, most float64) chartBox {
	b.H = max(2, int(math.Round(chartHeight*math.Sqrt(n/most))))
	b.Y = chartHeight - b.H
	return b
}

// changesOf counts the changes of a run.
func changesOf(r api.Run) int {
	n := 0
	for _, o := range report.Operations() {
		n += r.Counts[string(o.Op)]
	}
	return n
}

// took is how long a run took; 0 if it is not over or its end is unknown.
func took(r api.Run) time.Duration {
	if r.End == nil {
		return 0
	}
	return max(0, r.End.Sub(r.Start))
}
