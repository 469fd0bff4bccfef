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
	// Next returns the first time later than t at which the job is due, or
	// the zero time if there is none. A later t must not give an earlier time.
	Next(t time.Time) time.Time
}

// Parse reads a cron expression of five fields, a descriptor such as @hourly,
// or @every with a duration. Its times are those of clocks in loc; nil means
// UTC. The package comment says what happens when these clocks are changed.
// The error quotes expr.
func Parse(expr string, loc *time.Location) (Schedule, error) {
	expr = strings.TrimSpace(expr)
	s, err := parse(expr, loc)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", expr, err)
	}
	return s, nil
}

func parse(expr string, loc *time.Location) (Schedule, error) {
	// The library panics on these without a space behind, and with one they
	// would overrule the zone that everything else goes by.
	if upper := strings.ToUpper(expr); strings.HasPrefix(upper, "TZ=") || strings.HasPrefix(upper, "CRON_TZ=") {
		return nil, errors.New("a time zone cannot be part of it; use CWVAULT_TIMEZONE")
	}
	// The library makes 0s and 100ms one second, and 1.9s as well.
	if interval, ok := strings.CutPrefix(expr, "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(interval))
		switch {
		case err != nil:
			return nil, err
		case d < minEvery:
			return nil, fmt.Errorf("the interval must be at least %v", minEvery)
		case d%time.Second != 0:
			return nil, errors.New("the interval must be of whole seconds")
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
	// From the start of a leap year, so that 29 February is found.
	if s.shownAfter(time.Date(2000, 1, 1, 0, 0, 0, -1, time.UTC)).IsZero() {
		return nil, errors.New("can never run")
	}
	return s, nil
}

// local is a cron expression in the time of a place. The library gets its own
// searches wrong where clocks are changed: it skips runs for a day or, when
// midnight is missing, a week, and runs others twice. In UTC it is right. So it
// is only ever asked about readings: what a clock on the wall shows, as a time
// in UTC.
type local struct {
	spec      *cron.SpecSchedule
	loc       *time.Location
	everyHour bool // runs in every hour of the day: goes through both passes of a repeated hour
}

// Next implements [Schedule]. It goes through the periods between two changes
// of the clock, because within one of them readings and times run in parallel.
func (s *local) Next(t time.Time) time.Time {
	t = t.In(s.loc)
	start, end := period(t)
	done := reading(t) // whatever is due up to this reading is not due any more
	if !s.everyHour && !start.IsZero() {
		done = later(done, reading(start.Add(-1)))
	}
	var last time.Time // the last reading of the period before, if t begins one
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

// shownAfter returns the first reading later than r that the expression names,
// or the zero time. The library gives up after five years, which is too soon
// for 29 February around 2100.
func (s *local) shownAfter(r time.Time) time.Time {
	for range 2 {
		if next := s.spec.Next(r); !next.IsZero() {
			return next
		}
		r = time.Date(r.Year()+6, 1, 1, 0, 0, 0, -1, time.UTC)
	}
	return time.Time{}
}

// period returns the time between two changes of the clock that t is in. A
// bound is zero if there is none, and may be one at which nothing changes. Where
// a zone goes on by rule, [time.Time.ZoneBounds] of Go 1.26 lets every year end
// after 365 days: on 31 December of a leap year that is before t.
func period(t time.Time) (start, end time.Time) {
	start, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) {
		end = time.Date(t.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).In(t.Location())
	}
	return start, end
}

// reading returns what clocks show at t in its place, as a time in UTC.
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
