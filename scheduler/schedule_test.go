package scheduler_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cwvault/scheduler"
)

func TestParseRefuses(t *testing.T) {
	for expr, want := range map[string]string{
		"":                              "empty",
		"  ":                            "empty",
		"TZ=Europe/Berlin":              "CWVAULT_TIMEZONE", // the library panics
		"CRON_TZ=Europe/Berlin":         "CWVAULT_TIMEZONE", // the library panics
		"TZ=Europe/Berlin 30 6 * * *":   "CWVAULT_TIMEZONE",
		"CRON_TZ=UTC 30 6 * * *":        "CWVAULT_TIMEZONE",
		" tz=UTC 30 6 * * *":            "CWVAULT_TIMEZONE",
		"@every 0s":                     "at least 1s",
		"@every -5m":                    "at least 1s",
		"@every 999ms":                  "at least 1s",
		"@every 1.5s":                   "whole seconds",
		"@every":                        "@every",
		"@every day":                    "duration",
		"@every 30":                     "duration",
		"@every 300000000h":             "duration",
		"@fortnightly":                  "@fortnightly",
		"@reboot":                       "@reboot",
		"0 0 31 2 *":                    "never run",
		"0 0 30 feb *":                  "never run",
		"0 0 31 4,6,9,11 *":             "never run",
		", 0 * * *":                     "never run",
		"0 0 * , *":                     "never run",
		"60 * * * *":                    "60",
		"* 24 * * *":                    "24",
		"* * * * 7":                     "7",
		"*/0 * * * *":                   "step",
		"30-10 * * * *":                 "range",
		"* * * *":                       "5 fields",
		"0 30 6 * * *":                  "5 fields", // no seconds
		"30 6 * * * /usr/bin/true":      "5 fields",
		"every day":                     "5 fields",
		"99999999999999999999 * * * *":  "9999",
		"-1 * * * *":                    "-1",
		"1/9223372036854775807/1 * * *": "5 fields",
	} {
		s, err := scheduler.Parse(expr, time.UTC)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", expr, s)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strconv.Quote(strings.TrimSpace(expr))) {
			t.Errorf("Parse(%q): error %q, want it to quote the expression and say %q", expr, err, want)
		}
	}
}

// at reads a time in the zone that its offset gives.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04:05 -07:00", s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func parse(t testing.TB, expr string, loc *time.Location) scheduler.Schedule {
	t.Helper()
	s, err := scheduler.Parse(expr, loc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNext(t *testing.T) {
	const utc, berlin, lordHowe = "UTC", "Europe/Berlin", "Australia/Lord_Howe"
	for name, test := range map[string]struct {
		expr, zone, from string
		want             []string // offsets show which side of a change a time is on
	}{
		"every": {"@every 90s", utc, "2025-01-01 00:00:07 +00:00",
			[]string{"2025-01-01 00:01:37 +00:00", "2025-01-01 00:03:07 +00:00"}},
		"spaces": {"  @every   1h  ", utc, "2025-01-01 00:00:00 +00:00",
			[]string{"2025-01-01 01:00:00 +00:00"}},
		"every is blind to clocks": {"@every 24h", berlin, "2025-03-29 12:00:00 +01:00",
			[]string{"2025-03-30 13:00:00 +02:00"}},
		"hourly": {"@hourly", utc, "2025-01-01 00:00:00 +00:00",
			[]string{"2025-01-01 01:00:00 +00:00"}},
		"weekdays": {"30 6 * * mon-fri", utc, "2025-01-03 06:30:00 +00:00",
			[]string{"2025-01-06 06:30:00 +00:00"}},
		"either day": {"0 0 13 * fri", utc, "2025-01-09 12:00:00 +00:00",
			[]string{"2025-01-10 00:00:00 +00:00", "2025-01-13 00:00:00 +00:00", "2025-01-17 00:00:00 +00:00"}},
		"leap day": {"0 0 29 2 *", utc, "2025-01-01 00:00:00 +00:00",
			[]string{"2028-02-29 00:00:00 +00:00"}},
		"no leap day in 2100": {"0 0 29 2 *", utc, "2096-02-29 00:00:00 +00:00",
			[]string{"2104-02-29 00:00:00 +00:00"}},
		"the zone counts, not that of the argument": {"30 6 * * *", berlin, "2025-07-01 00:00:00 -09:00",
			[]string{"2025-07-02 06:30:00 +02:00"}},

		"daily in the gap": {"30 2 * * *", berlin, "2025-03-29 00:00:00 +01:00",
			[]string{"2025-03-29 02:30:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-31 02:30:00 +02:00"}},
		"from the last moment before the gap": {"30 2 * * *", berlin, "2025-03-30 01:59:59 +01:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2025-03-31 02:30:00 +02:00"}},
		"daily right after the gap": {"0 3 * * *", berlin, "2025-03-30 00:00:00 +01:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2025-03-31 03:00:00 +02:00"}},
		"several in the gap are one": {"*/20 2 * * *", berlin, "2025-03-30 00:00:00 +01:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2025-03-31 02:00:00 +02:00"}},
		"every two hours, spring": {"0 */2 * * *", berlin, "2025-03-30 00:00:00 +01:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2025-03-30 04:00:00 +02:00"}},
		"hourly, spring": {"@hourly", berlin, "2025-03-30 00:30:00 +01:00",
			[]string{"2025-03-30 01:00:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-30 04:00:00 +02:00"}},
		"half past, spring": {"30 * * * *", berlin, "2025-03-30 00:30:00 +01:00",
			[]string{"2025-03-30 01:30:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-30 03:30:00 +02:00"}},
		"quarters, spring": {"*/15 * * * *", berlin, "2025-03-30 01:30:00 +01:00",
			[]string{"2025-03-30 01:45:00 +01:00", "2025-03-30 03:00:00 +02:00", "2025-03-30 03:15:00 +02:00"}},

		"daily in the repeated hour": {"30 2 * * *", berlin, "2025-10-26 00:00:00 +02:00",
			[]string{"2025-10-26 02:30:00 +02:00", "2025-10-27 02:30:00 +01:00"}},
		"from within the second pass": {"30 2 * * *", berlin, "2025-10-26 02:10:00 +01:00",
			[]string{"2025-10-27 02:30:00 +01:00"}},
		"daily right after the repeated hour": {"0 3 * * *", berlin, "2025-10-26 02:59:59 +02:00",
			[]string{"2025-10-26 03:00:00 +01:00", "2025-10-27 03:00:00 +01:00"}},
		"New York": {"30 1 * * *", "America/New_York", "2025-11-01 12:00:00 -04:00",
			[]string{"2025-11-02 01:30:00 -04:00", "2025-11-03 01:30:00 -05:00"}},
		"at night, autumn": {"*/30 1,2 * * *", berlin, "2025-10-26 01:30:00 +02:00",
			[]string{"2025-10-26 02:00:00 +02:00", "2025-10-26 02:30:00 +02:00", "2025-10-27 01:00:00 +01:00"}},
		"hourly, autumn": {"@hourly", berlin, "2025-10-26 01:00:00 +02:00",
			[]string{"2025-10-26 02:00:00 +02:00", "2025-10-26 02:00:00 +01:00", "2025-10-26 03:00:00 +01:00"}},
		"half past, autumn": {"30 0-23 * * *", berlin, "2025-10-26 01:30:00 +02:00",
			[]string{"2025-10-26 02:30:00 +02:00", "2025-10-26 02:30:00 +01:00", "2025-10-26 03:30:00 +01:00"}},

		"half an hour, spring": {"15 2 * * *", lordHowe, "2025-10-05 00:00:00 +10:30",
			[]string{"2025-10-05 02:30:00 +11:00", "2025-10-06 02:15:00 +11:00"}},
		"half an hour, hourly": {"@hourly", lordHowe, "2025-10-05 00:30:00 +10:30",
			[]string{"2025-10-05 01:00:00 +10:30", "2025-10-05 02:30:00 +11:00", "2025-10-05 03:00:00 +11:00"}},
		"half an hour, autumn": {"45 1 * * *", lordHowe, "2025-04-06 00:00:00 +11:00",
			[]string{"2025-04-06 01:45:00 +11:00", "2025-04-07 01:45:00 +10:30"}},
		"half an hour, autumn, hourly": {"45 * * * *", lordHowe, "2025-04-06 01:00:00 +11:00",
			[]string{"2025-04-06 01:45:00 +11:00", "2025-04-06 01:45:00 +10:30", "2025-04-06 02:45:00 +10:30"}},

		// The library skips these for a week: Friday's midnight is missing.
		"Cairo, Friday morning": {"30 6 * * fri", "Africa/Cairo", "2025-04-24 12:00:00 +02:00",
			[]string{"2025-04-25 06:30:00 +03:00", "2025-05-02 06:30:00 +03:00"}},
		"Cairo, midnight": {"@daily", "Africa/Cairo", "2025-04-24 12:00:00 +02:00",
			[]string{"2025-04-25 01:00:00 +03:00", "2025-04-26 00:00:00 +03:00"}},
		"Cairo, autumn, repeated 23:00": {"0 23 * * *", "Africa/Cairo", "2025-10-30 12:00:00 +03:00",
			[]string{"2025-10-30 23:00:00 +03:00", "2025-10-31 23:00:00 +02:00"}},
		"São Paulo, no midnight": {"0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00:00 -03:00",
			[]string{"2018-11-04 01:00:00 -02:00", "2018-11-05 00:00:00 -02:00"}},
		"São Paulo, monthly": {"0 0 4 * *", "America/Sao_Paulo", "2018-11-03 12:00:00 -03:00",
			[]string{"2018-11-04 01:00:00 -02:00", "2018-12-04 00:00:00 -02:00"}},
		"Apia has no 30 December 2011": {"0 9 * * *", "Pacific/Apia", "2011-12-28 12:00:00 -10:00",
			[]string{"2011-12-29 09:00:00 -10:00", "2011-12-31 09:00:00 +14:00", "2012-01-01 09:00:00 +14:00"}},
		"Apia, midnight": {"@daily", "Pacific/Apia", "2011-12-28 12:00:00 -10:00",
			[]string{"2011-12-29 00:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2012-01-01 00:00:00 +14:00"}},
		"Apia, hourly": {"@hourly", "Pacific/Apia", "2011-12-29 22:30:00 -10:00",
			[]string{"2011-12-29 23:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 01:00:00 +14:00"}},
		"Apia, that day only": {"0 9 30 12 *", "Pacific/Apia", "2011-01-01 00:00:00 -10:00",
			[]string{"2012-12-30 09:00:00 +14:00"}},
		"Kwajalein has an August 21 less": {"30 12 * * *", "Pacific/Kwajalein", "1993-08-20 00:00:00 -12:00",
			[]string{"1993-08-20 12:30:00 -12:00", "1993-08-22 12:30:00 +12:00"}},
		"Pyongyang, the end of a day is missing": {"45 23 * * *", "Asia/Pyongyang", "2018-05-04 12:00:00 +08:30",
			[]string{"2018-05-05 00:00:00 +09:00", "2018-05-05 23:45:00 +09:00"}},
		"Troll, two hours": {"30 1,2 * * *", "Antarctica/Troll", "2025-03-30 00:30:00 +00:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2025-03-31 01:30:00 +02:00"}},
		// Go's ZoneBounds ends a leap year a day early here.
		"last day of a leap year": {"30 6 * * *", berlin, "2044-12-30 12:00:00 +01:00",
			[]string{"2044-12-31 06:30:00 +01:00", "2045-01-01 06:30:00 +01:00"}},
		"once a year, in the gap": {"30 2 30 3 *", berlin, "2024-12-01 00:00:00 +01:00",
			[]string{"2025-03-30 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			loc := zone(t, test.zone)
			s := parse(t, test.expr, loc)
			var got []string
			for next := at(t, test.from); len(got) < len(test.want); {
				next = s.Next(next)
				got = append(got, next.In(loc).Format("2006-01-02 15:04:05 -07:00"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("times after %s (-want +got):\n%s", test.from, diff)
			}
		})
	}
}

func TestNilLocationIsUTC(t *testing.T) {
	next := parse(t, "30 6 * * *", nil).Next(at(t, "2025-07-01 12:00:00 +05:00"))
	if want := at(t, "2025-07-02 06:30:00 +00:00"); !next.Equal(want) || next.Location() != time.UTC {
		t.Errorf("Next = %v, want %v", next, want)
	}
}

// fields are those of a cron expression; nil is "*".
type fields struct{ minutes, hours, weekdays []int }

func (f fields) String() string {
	field := func(values []int) string {
		if values == nil {
			return "*"
		}
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
	}
	return fmt.Sprintf("%s %s * * %s", field(f.minutes), field(f.hours), field(f.weekdays))
}

func (f fields) names(shown time.Time) bool {
	in := func(values []int, v int) bool { return values == nil || slices.Contains(values, v) }
	return in(f.minutes, shown.Minute()) && in(f.hours, shown.Hour()) && in(f.weekdays, int(shown.Weekday()))
}

// due says in the plainest way what is due after from and not after to: it
// watches the clock on the wall from minute to minute. Whatever the clock
// reaches or jumps over for the first time is due, provided that there is such
// a day; a schedule for every hour is also due whenever the clock shows it again.
func (f fields) due(t testing.TB, loc *time.Location, from, to time.Time) (times []time.Time, changes int) {
	t.Helper()
	shown := func(u time.Time) time.Time {
		u = u.In(loc)
		if u.Second() != 0 {
			t.Fatalf("the offset of %v is not of whole minutes; choose another zone or year", u)
		}
		return time.Date(u.Year(), u.Month(), u.Day(), u.Hour(), u.Minute(), 0, 0, time.UTC)
	}
	const margin = 50 * time.Hour
	days := map[string]bool{}
	for u := from.Truncate(time.Minute).Add(-margin); u.Before(to.Add(margin)); u = u.Add(time.Minute) {
		days[shown(u).Format(time.DateOnly)] = true
	}
	u := from.Truncate(time.Minute).Add(-margin)
	previous := shown(u)
	latest := previous
	for u = u.Add(time.Minute); !u.After(to); u = u.Add(time.Minute) {
		now := shown(u)
		if now.Sub(previous) != time.Minute && u.After(from) {
			changes++
		}
		previous = now
		due := f.hours == nil && f.names(now)
		for latest.Before(now) {
			latest = latest.Add(time.Minute)
			due = due || f.names(latest) && days[latest.Format(time.DateOnly)]
		}
		if due && u.After(from) {
			times = append(times, u)
		}
	}
	return times, changes
}

var oddZones = []string{
	"Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "America/New_York", "America/Los_Angeles",
	"America/St_Johns", "America/Sao_Paulo", "America/Havana", "America/Santiago", "America/Caracas", "America/Nuuk",
	"America/Asuncion", "America/Scoresbysund", "Africa/Cairo", "Africa/Casablanca", "Africa/Windhoek", "Asia/Tehran", "Asia/Gaza", "Asia/Beirut",
	"Asia/Pyongyang", "Asia/Kathmandu", "Asia/Amman", "Asia/Kolkata", "Australia/Lord_Howe", "Australia/Adelaide", "Pacific/Apia",
	"Pacific/Chatham", "Pacific/Fakaofo", "Pacific/Kiritimati", "Pacific/Kwajalein", "Pacific/Norfolk", "Antarctica/Troll", "Antarctica/Casey", "UTC",
}

// changeIn draws a zone and a time at which its clocks are changed, or any time
// where they are not.
func changeIn(rt *rapid.T) (*time.Location, time.Time) {
	loc, err := time.LoadLocation(rapid.SampledFrom(oddZones).Draw(rt, "zone"))
	if err != nil {
		rt.Fatal(err)
	}
	u := time.Unix(rapid.Int64Range(6*365*86400, 75*365*86400).Draw(rt, "unix"), 0).In(loc)
	if _, end := u.ZoneBounds(); !end.IsZero() {
		u = end
	}
	return loc, u
}

func TestNextEqualsWatchingTheClock(t *testing.T) {
	values := func(most int) *rapid.Generator[[]int] {
		return rapid.OneOf(
			rapid.SliceOfNDistinct(rapid.IntRange(0, most), 1, 3, rapid.ID[int]),
			rapid.Just([]int(nil)))
	}
	var sawRuns, sawChanges int
	rapid.Check(t, func(rt *rapid.T) {
		loc, change := changeIn(rt)
		f := fields{values(59).Draw(rt, "minutes"), values(23).Draw(rt, "hours"), values(6).Draw(rt, "weekdays")}
		if rapid.Bool().Draw(rt, "at night") {
			f.hours = rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 1, 3, rapid.ID[int]).Draw(rt, "hours of the night")
		}
		from := change.Add(-time.Duration(rapid.IntRange(-3*3600, 30*3600).Draw(rt, "seconds before")) * time.Second)
		to := from.Add(56 * time.Hour)

		want, changes := f.due(t, loc, from, to)
		s, err := scheduler.Parse(f.String(), loc)
		if err != nil {
			rt.Fatal(err)
		}
		var got []time.Time
		for next := s.Next(from); !next.After(to); next = s.Next(next) {
			if len(got) > 0 && !next.After(got[len(got)-1]) {
				rt.Fatalf("%s in %v: %v comes after %v", f, loc, next, got[len(got)-1])
			}
			got = append(got, next)
		}
		if !slices.EqualFunc(want, got, time.Time.Equal) {
			rt.Fatalf("%s in %v after %v (-want +got):\n%s", f, loc, from, cmp.Diff(want, got))
		}
		sawRuns += len(want)
		sawChanges += changes
	})
	if sawRuns == 0 || sawChanges == 0 {
		t.Errorf("%d runs, %d changes of the clock: nothing was tested", sawRuns, sawChanges)
	}
}

func TestDailyIsOnceADay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		loc, change := changeIn(rt)
		hour, minute := rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute")
		s, err := scheduler.Parse(fmt.Sprintf("%d %d * * *", minute, hour), loc)
		if err != nil {
			rt.Fatal(err)
		}
		next, to := change.Add(-10*24*time.Hour), change.Add(10*24*time.Hour)

		days := map[string]int{}
		first, last := "", ""
		for next = s.Next(next); next.Before(to); next = s.Next(next) {
			shown := next
			if shown.Hour() == 0 && shown.Minute() == 0 && hour != 0 {
				shown = shown.Add(-time.Minute) // the last run of a day whose end is missing
			}
			last = shown.Format(time.DateOnly)
			days[last]++
			if first == "" {
				first = last
			}
		}
		for u := change.Add(-12 * 24 * time.Hour); u.Before(to.Add(48 * time.Hour)); u = u.Add(time.Hour) {
			today := u.Format(time.DateOnly)
			if first <= today && today <= last && days[today] != 1 {
				rt.Fatalf("%d runs at %02d:%02d in %v on %s, want 1", days[today], hour, minute, loc, today)
			}
		}
		if len(days) < 18 {
			rt.Fatalf("only %d days were looked at", len(days))
		}
	})
}

func TestNextNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		loc, change := changeIn(rt)
		expr := rapid.SampledFrom([]string{"@every 7s", "*/7 * * * *", "@hourly", "30 2 * * *", "*/20 0-3 * * *", "0 0 29 2 *", "@weekly"}).Draw(rt, "expr")
		s, err := scheduler.Parse(expr, loc)
		if err != nil {
			rt.Fatal(err)
		}
		offset := rapid.Int64Range(-int64(4*time.Hour), int64(4*time.Hour))
		a, b := change.Add(time.Duration(offset.Draw(rt, "a"))), change.Add(time.Duration(offset.Draw(rt, "b")))
		if b.Before(a) {
			a, b = b, a
		}
		nextA, nextB := s.Next(a), s.Next(b)
		if !nextA.After(a) || nextB.Before(nextA) {
			rt.Fatalf("%s in %v: after %v comes %v, after %v comes %v", expr, loc, a, nextA, b, nextB)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"@every 30m", "30 2 * * *", "*/15 8-18 * * mon-fri", "TZ=", "CRON_TZ=x", "@every 0s", "0 0 31 2 *", ", , , , ,", "@daily"} {
		f.Add(seed)
	}
	loc := zone(f, "Europe/Berlin")
	from := time.Date(2025, 3, 30, 0, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := scheduler.Parse(expr, loc)
		if err != nil {
			return
		}
		if next := s.Next(from); !next.After(from) {
			t.Errorf("Parse(%q).Next(%v) = %v", expr, from, next)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	loc := zone(b, "Europe/Berlin")
	for _, expr := range []string{"*/15 * * * *", "30 6 * * *", "0 0 29 2 *"} {
		b.Run(expr, func(b *testing.B) {
			s := parse(b, expr, loc)
			from := time.Date(2025, 3, 29, 12, 0, 0, 0, loc)
			for b.Loop() {
				s.Next(from)
			}
		})
	}
}
