package sync_test

import (
	"fmt"
	"testing"

	"cwvault/sync"
)

func limit(t tester, s string) sync.Limit {
	t.Helper()
	l, err := sync.ParseLimit(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimit(t *testing.T) {
	type amount struct {
		n, total int
		exceeded bool
	}
	for in, c := range map[string]struct {
		spelling string
		amounts  []amount
	}{
		"20%":   {"20%", []amount{{20, 100, false}, {21, 100, true}, {0, 0, false}, {1, 0, true}, {-5, 100, false}}},
		"0.5%":  {"0.5%", []amount{{1, 200, false}, {2, 200, true}}},
		" 5 % ": {"5%", []amount{{5, 100, false}, {6, 100, true}}},
		"15":    {"15", []amount{{15, 10, false}, {16, 1000, true}}},
		"0":     {"0", []amount{{0, 10, false}, {1, 1000, true}}},
		"0%":    {"0%", []amount{{0, 10, false}, {1, 1000, true}}},
		"100%":  {"100%", []amount{{10, 10, false}, {11, 10, true}}},
		"off":   {"off", []amount{{1000, 10, false}}},
		" OFF ": {"off", []amount{{1000, 10, false}}},
	} {
		t.Run(in, func(t *testing.T) {
			l := limit(t, in)
			if l.String() != c.spelling || limit(t, l.String()) != l {
				t.Errorf("is written %q", l)
			}
			for _, a := range c.amounts {
				if l.ExceededBy(a.n, a.total) != a.exceeded {
					t.Errorf("%d of %d exceeds it: %t", a.n, a.total, !a.exceeded)
				}
			}
		})
	}
	for _, in := range []string{"", "%", "x", "-1", "-1%", "101%", "1.5", "NaN", "NaN%", "Inf", "1e10", "20%%", "20 percent"} {
		want := fmt.Sprintf(`%q is not a limit; use a percentage such as "20%%", a number such as "15", or "off"`, in)
		if _, err := sync.ParseLimit(in); err == nil || err.Error() != want {
			t.Errorf("ParseLimit(%q): error %v, want %s", in, err, want)
		}
	}
	if (sync.Limit{}).String() != "off" || (sync.Limit{}).ExceededBy(5, 1) {
		t.Error("the zero Limit is not off")
	}
}
