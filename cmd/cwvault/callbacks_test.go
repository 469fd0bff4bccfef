package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"cwvault/connectwise"
	"cwvault/connectwise/connectwisetest"
)

const testCallback = "https://cwvault.example.com/api/connectwise/callback?recordId="

// fakeCallbacks is a ConnectWise that notes what is asked of it.
type fakeCallbacks struct {
	all   []connectwise.Callback
	calls []string
	fail  error
}

func (f *fakeCallbacks) Callbacks(context.Context) ([]connectwise.Callback, error) { return f.all, nil }

func (f *fakeCallbacks) RegisterCallback(_ context.Context, address, description string) (connectwise.Callback, error) {
	f.calls = append(f.calls, "register "+address)
	c := connectwise.Callback{ID: 100, URL: address, Description: description, Type: "company", Level: "Owner", ObjectID: 1}
	if !isOurs(c) || !aboutAll(c) {
		return c, errors.New("what is registered is not known again")
	}
	return c, f.fail
}

func (f *fakeCallbacks) RemoveCallback(_ context.Context, id int) error {
	f.calls = append(f.calls, fmt.Sprintf("remove %d", id))
	return f.fail
}

// ourCallback is one as register makes it, changed.
func ourCallback(id int, change func(*connectwise.Callback)) connectwise.Callback {
	c := connectwise.Callback{ID: id, URL: testCallback, Description: callbackDescription, Type: "company", Level: "owner", ObjectID: 1}
	if change != nil {
		change(&c)
	}
	return c
}

func TestRegisterCallback(t *testing.T) {
	off := func(c *connectwise.Callback) { c.Inactive = true }
	for name, test := range map[string]struct {
		have  []connectwise.Callback
		calls []string
		says  []string
	}{
		"none": {nil, []string{"register " + testCallback}, []string{"registered callback 100: " + testCallback}},
		"there already": {
			[]connectwise.Callback{ourCallback(7, nil)}, nil, []string{"callback 7 is there already: " + testCallback},
		},
		"switched off": {
			[]connectwise.Callback{ourCallback(7, off)},
			[]string{"remove 7", "register " + testCallback},
			[]string{"removed callback 7, which was switched off", "registered callback 100: " + testCallback},
		},
		"one that is switched off and one that works": {
			[]connectwise.Callback{ourCallback(7, off), ourCallback(8, nil), ourCallback(9, off)},
			[]string{"remove 7", "remove 9"},
			[]string{"removed callback 7, which was switched off", "removed callback 9, which was switched off", "callback 8 is there already: " + testCallback},
		},
		"two that work": {
			[]connectwise.Callback{ourCallback(7, nil), ourCallback(8, nil)},
			[]string{"remove 8"},
			[]string{"removed callback 8, which was a second one for the same address", "callback 7 is there already: " + testCallback},
		},
		"about one company": {
			[]connectwise.Callback{ourCallback(7, func(c *connectwise.Callback) { c.Level, c.ObjectID = "Company", 250 })},
			[]string{"remove 7", "register " + testCallback},
			[]string{"removed callback 7, which was not about all companies", "registered callback 100: " + testCallback},
		},
		"other people's": {
			[]connectwise.Callback{
				ourCallback(1, func(c *connectwise.Callback) { c.Description = "another tool" }),
				ourCallback(2, func(c *connectwise.Callback) { c.Description = "cwvaults of somebody" }),
				ourCallback(3, func(c *connectwise.Callback) { c.Type = "ticket" }),
				ourCallback(4, func(c *connectwise.Callback) { c.URL = strings.TrimSuffix(c.URL, "?recordId=") }),
				ourCallback(5, func(c *connectwise.Callback) { c.Inactive, c.Description = true, "" }),
			},
			[]string{"register " + testCallback}, []string{"registered callback 100: " + testCallback},
		},
		"ours, of another address": {
			[]connectwise.Callback{ourCallback(7, func(c *connectwise.Callback) {
				c.URL = "https://old.example.com\x1b/?recordId="
				c.Inactive = true
			})},
			[]string{"register " + testCallback}, []string{"registered callback 100: " + testCallback},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out, log bytes.Buffer
			f := &fakeCallbacks{all: test.have}
			a := &app{ctx: t.Context(), stdout: &out, log: hclog.New(&hclog.LoggerOptions{Output: &log})}
			if err := registerCallback(a, f, f.all, testCallback); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(strings.Join(test.says, "\n")+"\n", out.String()); diff != "" {
				t.Errorf("says (-want +got):\n%s", diff)
			}
			elsewhere := slices.ContainsFunc(test.have, func(c connectwise.Callback) bool { return isOurs(c) && c.URL != testCallback })
			if elsewhere != strings.Contains(log.String(), "delivers elsewhere") || strings.Contains(log.String(), "\x1b") {
				t.Errorf("the log:\n%s", &log)
			}
		})
	}
	f := &fakeCallbacks{all: []connectwise.Callback{ourCallback(7, off)}, fail: errors.New("no")}
	a := &app{ctx: t.Context(), stdout: &bytes.Buffer{}, log: hclog.NewNullLogger()}
	if err := registerCallback(a, f, f.all, testCallback); err != f.fail || len(f.calls) != 1 {
		t.Errorf("when the first call fails: %v, after %v", err, f.calls)
	}
}

func TestRemoveCallbacks(t *testing.T) {
	all := []connectwise.Callback{
		ourCallback(1, nil), ourCallback(2, func(c *connectwise.Callback) { c.Description = "another tool" }),
		ourCallback(3, func(c *connectwise.Callback) { c.URL, c.Inactive = "https://old.example.com/?recordId=", true }),
		ourCallback(5, func(c *connectwise.Callback) { c.URL = "https://cwvault.example.com/made-by-hand" }),
	}
	for name, test := range map[string]struct {
		ids   []int
		code  int
		calls []string
	}{
		"all of ours":           {nil, exitOK, []string{"remove 1", "remove 3"}},
		"one":                   {[]int{3}, exitOK, []string{"remove 3"}},
		"the same twice":        {[]int{3, 3}, exitOK, []string{"remove 3"}},
		"somebody else's":       {[]int{2}, exitUsage, nil},
		"among ours":            {[]int{1, 2, 3}, exitUsage, nil},
		"one that is not there": {[]int{1, 4}, exitFailed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeCallbacks{}
			a := &app{ctx: t.Context(), stdout: &bytes.Buffer{}}
			if err := removeCallbacks(a, f, all, test.ids); exitCode(err) != test.code {
				t.Errorf("ends with %d, want %d: %v", exitCode(err), test.code, err)
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
		if got, err := callbackAddress(raw); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", "/api/connectwise/callback", "cwvault.example.com", "cwvault.example.com:443", "ftp://secret/", "https://", "https:///x", "https://:443/secret",
		"http://10.0.0.1/secret", "http://localhost.secret.example/", "https://user:secret@h/", "https://h/#secret", "https://secret\x7f/", "https://h:secret/",
	} {
		if got, err := callbackAddress(raw); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

// TestCallbacksOfOthers sees that others' callbacks are listed, without what
// may be a password and harmless, and left alone; and that one of ours which
// ConnectWise has switched off is replaced.
func TestCallbacksOfOthers(t *testing.T) {
	s := newVaultSite(t)
	add := func(fields map[string]any) {
		t.Helper()
		for name, value := range map[string]any{"type": "company", "level": "Owner", "objectId": 1} {
			if _, set := fields[name]; !set {
				fields[name] = value
			}
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.world.URL()+"/v4_6_release/apis/3.0/system/callbacks", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(s.world.Tenant()+"+"+s.world.PublicKey(), s.world.PrivateKey())
		req.Header.Set("clientId", s.world.ClientID())
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status)
		}
	}
	add(map[string]any{"url": "https://desk.example.com/hook?key=hunter2", "type": "ticket", "level": "Board", "objectId": 3, "description": "desk\x1b[2J"})
	add(map[string]any{"url": testCallback, "description": callbackDescription, "inactiveFlag": true})

	list := s.inProcess(exitOK, "callbacks", "list")
	want := "" +
		"     1  active        ticket, Board 3  https://desk.example.com/hook?…  not cwvault's: desk\\u001b[2J\n" +
		"     2  switched off  every company  " + testCallback + "  cwvault's\n"
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if text := s.inProcess(exitOK, "callbacks", "list", "--format", "json"); strings.Contains(text, "hunter2") || strings.Contains(text, "\x1b") {
		t.Errorf("list as JSON:\n%s", text)
	}
	text := s.inProcess(exitOK, "callbacks", "register", testCallback)
	if want := "removed callback 2, which was switched off\nregistered callback 3: " + testCallback + "\n"; text != want {
		t.Errorf("register: %s", text)
	}
	s.inProcess(exitUsage, "callbacks", "remove", "1")
	s.inProcess(exitOK, "callbacks", "remove")
	if list := s.inProcess(exitOK, "callbacks", "list"); strings.Count(list, "\n") != 1 || !strings.Contains(list, "desk") {
		t.Errorf("in the end:\n%s", list)
	}
}

// TestCallbacksNeedARight sees that a role without the right is told so.
func TestCallbacksNeedARight(t *testing.T) {
	s := newVaultSite(t)
	s.world.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoCallbacks = true })
	for _, args := range [][]string{{"list"}, {"register", testCallback}, {"remove"}} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"callbacks"}, args...), s.env, &out, &errs)
		if code != exitUnauthorized || out.Len() != 0 || !strings.Contains(errs.String(), "the API member's role needs the right to callbacks") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, &out, &errs)
		}
	}
}
