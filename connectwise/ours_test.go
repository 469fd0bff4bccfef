package connectwise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

const testCallback = "https://cwvault.example.com/api/connectwise/callback?recordId="

// fakeCallbacks is a ConnectWise that notes what is asked of it.
type fakeCallbacks struct {
	all   []Callback
	calls []string
	fail  error
}

func (f *fakeCallbacks) Callbacks(context.Context) ([]Callback, error) { return f.all, nil }

func (f *fakeCallbacks) RegisterCallback(_ context.Context, address, description string) (Callback, error) {
	f.calls = append(f.calls, "register "+address)
	c := Callback{ID: 100, URL: address, Description: description, Type: "company", Level: "Owner", ObjectID: 1}
	if !c.Ours() || !c.AboutAll() {
		return c, errors.New("what is registered is not known again")
	}
	return c, f.fail
}

func (f *fakeCallbacks) RemoveCallback(_ context.Context, id int) error {
	f.calls = append(f.calls, fmt.Sprintf("remove %d", id))
	return f.fail
}

// ourCallback is one as register makes it, changed.
func ourCallback(id int, change func(*Callback)) Callback {
	c := Callback{ID: id, URL: testCallback, Description: ourDescription, Type: "company", Level: "owner", ObjectID: 1}
	if change != nil {
		change(&c)
	}
	return c
}

func TestRegisterCallback(t *testing.T) {
	off := func(c *Callback) { c.Inactive = true }
	for name, test := range map[string]struct {
		have  []Callback
		calls []string
		says  []string
	}{
		"none": {nil, []string{"register " + testCallback}, []string{"registered callback 100: " + testCallback}},
		"there already": {
			[]Callback{ourCallback(7, nil)}, nil, []string{"callback 7 is there already: " + testCallback},
		},
		"switched off": {
			[]Callback{ourCallback(7, off)},
			[]string{"remove 7", "register " + testCallback},
			[]string{"removed callback 7, which was switched off", "registered callback 100: " + testCallback},
		},
		"one that is switched off and one that works": {
			[]Callback{ourCallback(7, off), ourCallback(8, nil), ourCallback(9, off)},
			[]string{"remove 7", "remove 9"},
			[]string{"removed callback 7, which was switched off", "removed callback 9, which was switched off", "callback 8 is there already: " + testCallback},
		},
		"two that work": {
			[]Callback{ourCallback(7, nil), ourCallback(8, nil)},
			[]string{"remove 8"},
			[]string{"removed callback 8, which was a second one for the same address", "callback 7 is there already: " + testCallback},
		},
		"about one company": {
			[]Callback{ourCallback(7, func(c *Callback) { c.Level, c.ObjectID = "Company", 250 })},
			[]string{"remove 7", "register " + testCallback},
			[]string{"removed callback 7, which was not about all companies", "registered callback 100: " + testCallback},
		},
		"other people's": {
			[]Callback{
				ourCallback(1, func(c *Callback) { c.Description = "another tool" }),
				ourCallback(2, func(c *Callback) { c.Description = "cwvaults of somebody" }),
				ourCallback(3, func(c *Callback) { c.Type = "ticket" }),
				ourCallback(4, func(c *Callback) { c.URL = strings.TrimSuffix(c.URL, "?recordId=") }),
				ourCallback(5, func(c *Callback) { c.Inactive, c.Description = true, "" }),
			},
			[]string{"register " + testCallback}, []string{"registered callback 100: " + testCallback},
		},
		"ours, of another address": {
			[]Callback{ourCallback(7, func(c *Callback) {
				c.URL = "https://old.example.com\x1b/?recordId="
				c.Inactive = true
			})},
			[]string{"register " + testCallback}, []string{"registered callback 100: " + testCallback},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeCallbacks{all: test.have}
			e, err := ensureCallback(t.Context(), f, testCallback)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			var did []string
			for _, r := range e.Removed {
				did = append(did, fmt.Sprintf("removed callback %d, which was %s", r.ID, r.Why))
			}
			if e.Made {
				did = append(did, fmt.Sprintf("registered callback %d: %s", e.Callback.ID, e.Callback.URL))
			} else {
				did = append(did, fmt.Sprintf("callback %d is there already: %s", e.Callback.ID, e.Callback.URL))
			}
			if diff := cmp.Diff(test.says, did); diff != "" {
				t.Errorf("did (-want +got):\n%s", diff)
			}
			elsewhere := slices.ContainsFunc(test.have, func(c Callback) bool { return c.Ours() && c.URL != testCallback })
			if elsewhere != (len(e.Elsewhere) > 0) {
				t.Errorf("elsewhere: %+v", e.Elsewhere)
			}
		})
	}
	f := &fakeCallbacks{all: []Callback{ourCallback(7, off)}, fail: errors.New("no")}
	if e, err := ensureCallback(t.Context(), f, testCallback); err != f.fail || len(f.calls) != 1 || e.Removed != nil || e.Made {
		t.Errorf("when the first call fails: %v, after %v", err, f.calls)
	}
}

func TestRemoveCallbacks(t *testing.T) {
	all := []Callback{
		ourCallback(1, nil), ourCallback(2, func(c *Callback) { c.Description = "another tool" }),
		ourCallback(3, func(c *Callback) { c.URL, c.Inactive = "https://old.example.com/?recordId=", true }),
		ourCallback(5, func(c *Callback) { c.URL = "https://cwvault.example.com/made-by-hand" }),
	}
	for name, test := range map[string]struct {
		ids   []int
		kind  error
		calls []string
	}{
		"all of ours":           {nil, nil, []string{"remove 1", "remove 3"}},
		"one":                   {[]int{3}, nil, []string{"remove 3"}},
		"the same twice":        {[]int{3, 3}, nil, []string{"remove 3"}},
		"somebody else's":       {[]int{2}, sync.ErrUsage, nil},
		"among ours":            {[]int{1, 2, 3}, sync.ErrUsage, nil},
		"one that is not there": {[]int{1, 4}, errors.ErrUnsupported, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeCallbacks{all: all}
			removed, err := removeOurs(t.Context(), f, test.ids)
			known := errors.Is(err, sync.ErrUsage)
			if (err == nil) != (test.kind == nil) || known != (test.kind == sync.ErrUsage) || len(removed) != len(test.calls) {
				t.Errorf("removed %v, ends with %v", removed, err)
			}
			if diff := cmp.Diff(test.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCallbackAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"https://Cwvault.example.com/api/connectwise/callback": testCallback,
		testCallback:                     testCallback,
		"https://h:8443/x?tenant=a":      "https://h:8443/x?tenant=a&recordId=",
		"https://h/x?tenant=a&recordId=": "https://h/x?tenant=a&recordId=",
		"http://127.0.0.1:8377/x":        "http://127.0.0.1:8377/x?recordId=",
		"http://[::1]/x":                 "http://[::1]/x?recordId=",
		"http://LOCALHOST/x":             "http://localhost/x?recordId=",
	} {
		if got, err := CallbackAddress(raw); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", "/api/connectwise/callback", "cwvault.example.com", "cwvault.example.com:443", "ftp://secret/", "https://", "https:///x", "https://:443/secret",
		"http://10.0.0.1/secret", "http://localhost.secret.example/", "https://user:secret@h/", "https://h/#secret", "https://secret\x7f/", "https://h:secret/",
	} {
		if got, err := CallbackAddress(raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}
