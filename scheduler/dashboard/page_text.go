package dashboard

import (
	"fmt"
	"strings"
	"time"

	"cwvault/sync"
)

// plain is [sync.Plain]. The templates also escape it for HTML.
func plain(s string) string { return sync.Plain(s) }

// These limit how many characters lists show of a name or path, and of an error or
// reason. A company's page shows its whole name, and the API shows everything.
const (
	nameLength  = 160
	proseLength = 800
)

// short is plain for lists.
func short(s string) string {
	start, cut := cut(s, nameLength)
	return plain(start) + cut
}

// prose is plain for texts of several lines, such as joined errors.
func prose(s string) string {
	start, cut := cut(strings.TrimSpace(s), proseLength)
	lines := strings.Split(start, "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n") + cut
}

// cut returns the first n characters of s, and an ellipsis if there are more.
func cut(s string, n int) (start, ellipsis string) {
	for i := range s {
		if n--; n < 0 {
			return s[:i], "…"
		}
	}
	return s, ""
}

// line is the first line of a text.
func line(s string) string {
	first, _, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more {
		return short(first) + " …"
	}
	return short(first)
}

// stamp is a time without a reader's time zone.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// duration is a duration for people: its two largest units.
func duration(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Second:
		return "under 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	}
	units := []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.unit {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.unit, u.name)
		if rest := d % u.unit; i+1 < len(units) && rest >= units[i+1].unit {
			text += fmt.Sprintf(" %d %s", rest/units[i+1].unit, units[i+1].name)
		}
		return text
	}
	return ""
}

// relative says how far t is from now, to the minute, so that the page does not change
// every second.
func relative(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d.Abs() < time.Minute && d > 0:
		return "within a minute"
	case d.Abs() < time.Minute:
		return "just now"
	case d > 0:
		return "in " + duration(d.Truncate(time.Minute))
	}
	return duration(d.Truncate(time.Minute)) + " ago"
}
