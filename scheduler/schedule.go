package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// minEvery is the shortest interval accepted after @every.
const minEvery = time.Second

const day = 24 * time.Hour

// A Schedule says when a job is due.
type Schedule interface {
	// Next returns the first time after t at which the job is due, or the zero
	// time if there is none. A later t must not give an earlier time.
	Next(t time.Time) time.Time
}

// Parse reads a cron expression of five fields, a descriptor such as @hourly, or
// @every with a duration. Times are those of clocks in loc; nil means UTC. The package
// comment says what happens when these clocks change. The error quotes expr.
func Parse(expr string, loc *time.Location) (Schedule, error) {
	expr = strings.TrimSpace(expr)
	s, err := parse(expr, loc)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", expr, err)
	}
	return s, nil
}

func parse(expr string, loc *time.Location) (Schedule, error) {
	// Without a space after them the library panics. With one they would override
	// the zone that everything else uses.
	if upper := strings.ToUpper(expr); strings.HasPrefix(upper, "TZ=") || strings.HasPrefix(upper, "CRON_TZ=") {
		return nil, errors.New("it must not contain a time zone; use CWVAULT_TIMEZONE")
	}
	// The library turns 0s, 100ms and 1.9s into one second.
	if interval, ok := strings.CutPrefix(expr, "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(interval))
		switch {
		case err != nil:
			return nil, err
		case d < minEvery:
			return nil, fmt.Errorf("the interval must be at least %v", minEvery)
		case d%time.Second != 0:
			return nil, errors.New("the interval must be whole seconds")
		}
		return cron.Every(d), nil
	}

	parsed, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("unexpected kind of schedule %T", parsed)
	}
	spec.Location = time.UTC
	if loc == nil {
		loc = time.UTC
	}
	const allHours = 1<<24 - 1
	s := &local{spec: spec, loc: loc, everyHour: spec.Hour&allHours == allHours}
	// Start at a leap year to find 29 February.
	if s.shownAfter(time.Date(2000, 1, 1, 0, 0, 0, -1, time.UTC)).IsZero() {
		return nil, errors.New("it never runs")
	}
	return s, nil
}

// local is a cron expression in local time. The library's search is wrong where clocks
// change: it skips runs for a day or, if midnight is missing, a week, and runs others
// twice. In UTC it is right. So it only gets readings: what a clock on the wall shows,
// as a time in UTC.
type local struct {
	spec      *cron.SpecSchedule
	loc       *time.Location
	everyHour bool // runs in every hour of the day, so also in a repeated hour
}

// Next implements [Schedule]. It searches the periods between two changes of the clock
// one by one, because within a period readings and times run in parallel.
func (s *local) Next(t time.Time) time.Time {
	t = t.In(s.loc)
	start, end := period(t)
	done := reading(t) // readings up to this one are no longer due
	if !s.everyHour && !start.IsZero() {
		done = later(done, reading(start.Add(-1)))
	}
	var last time.Time // the last reading of the previous period, if t begins a period
	for {
		due := s.shownAfter(done)
		if due.IsZero() {
			return time.Time{}
		}
		if due.Before(reading(t)) { // in the gap at t
			midnight := due.Truncate(day)
			if midnight.After(last) && !midnight.Add(day).After(reading(t)) {
				done = midnight.Add(day - 1) // the whole day is in the gap
				continue
			}
			return t
		}
		if at := t.Add(due.Sub(reading(t))); end.IsZero() || at.Before(end) {
			return at
		}

		last = reading(end.Add(-1))
		t = end
		_, end = period(t)
		done = last
		if s.everyHour && reading(t).Before(last) {
			done = reading(t).Add(-1)
		}
	}
}

// shownAfter returns the first reading after r that matches the expression, or the zero
// time. The library stops searching after five years, which is too soon for 29 February
// around 2100.
func (s *local) shownAfter(r time.Time) time.Time {
	for range 2 {
		if next := s.spec.Next(r); !next.IsZero() {
			return next
		}
		r = time.Date(r.Year()+6, 1, 1, 0, 0, 0, -1, time.UTC)
	}
	return time.Time{}
}

// period returns the period between two changes of the clock that contains t. A bound is
// zero if there is none, and the clock need not change there. For zones that follow a
// rule, [time.Time.ZoneBounds] of Go 1.26 ends every year after 365 days. On 31 December
// of a leap year that is before t.
func period(t time.Time) (start, end time.Time) {
	start, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).In(t.Location())
	}
	return start, end
}

// reading returns what local clocks show at t, as a time in UTC.
func reading(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
