package connectwise

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/connectwise/connectwisetest"
)

const receiver = "https://vault.example.com/api/connectwise/callback?recordId="

func TestCallbacks(t *testing.T) {
	s, c := simulated(t)
	ctx := t.Context()
	if all, err := c.Callbacks(ctx); len(all) != 0 || err != nil {
		t.Errorf("before there is one: %v, %v", all, err)
	}
	made, err := c.RegisterCallback(ctx, receiver, "cwvault \x00 of "+strings.Repeat("x", 200))
	if err != nil {
		t.Fatal(err)
	}
	want := Callback{ID: 1, Description: "cwvault of " + strings.Repeat("x", 88) + "…", URL: receiver, Type: "company", Level: "Owner", ObjectID: 1}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := c.RegisterCallback(ctx, receiver+"2", ""); err != nil {
		t.Fatal(err)
	}
	s.DisableCallback(1)
	want.Inactive = true
	all, err := c.Callbacks(ctx)
	if diff := cmp.Diff([]Callback{want, {ID: 2, URL: receiver + "2", Type: "company", Level: "Owner", ObjectID: 1}}, all); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if err := c.RemoveCallback(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := c.RemoveCallback(ctx, 1); err == nil || !strings.Contains(err.Error(), "remove callback 1: DELETE") || !strings.Contains(err.Error(), "callback 1 not found") {
		t.Errorf("removed again: %v", err)
	}
	if all, err = c.Callbacks(ctx); len(all) != 1 || all[0].ID != 2 || err != nil {
		t.Errorf("after one was removed: %v, %v", all, err)
	}

	s.Behave(func(b *connectwisetest.Behaviour) { b.Role.NoCallbacks = true })
	for _, err := range []error{c.RemoveCallback(ctx, 2), second(c.Callbacks(ctx)), second(c.RegisterCallback(ctx, receiver, ""))} {
		if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "the right to callbacks") {
			t.Errorf("no right: %v", err)
		}
	}
}

func second[V any](_ V, err error) error { return err }

func TestRegisterCallbackOnce(t *testing.T) {
	for name, test := range map[string]struct {
		fault   connectwisetest.Fault
		made    int
		wantErr string
	}{
		"made, and the answer is lost": {connectwisetest.Lost(), 1, ""},
		"made, and redirected":         {after(func(_ *http.Request, r *connectwisetest.Response) { r.Status, r.Body = 301, nil }), 1, ""},
		"not made, 500":                {connectwisetest.TimeoutBody(), 0, "register a callback: POST"},
		"not made, no answer":          {connectwisetest.HTML(200), 0, "an HTML page"},
	} {
		s, c := simulated(t)
		for _, other := range []string{receiver + "x", receiver} { // another, and one that is no longer used
			if _, err := c.RegisterCallback(t.Context(), other, ""); err != nil {
				t.Fatal(err)
			}
		}
		s.DisableCallback(2)
		s.ResetRequests()
		test.fault.Match = connectwisetest.On("POST", "/system/callbacks")
		s.AddFault(test.fault)
		got, err := c.RegisterCallback(t.Context(), receiver, "mine")
		if test.wantErr == "" {
			if err != nil || got.ID != 3 || got.URL != receiver || got.Description != "mine" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if n := sentTo(s, "POST", "/system/callbacks"); n != 1 {
			t.Errorf("%s: %d POSTs", name, n)
		}
		if all, err := c.Callbacks(t.Context()); err != nil || len(all) != 2+test.made {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// A DELETE may be repeated, and then finds that it is done.
func TestRemoveCallbackRepeated(t *testing.T) {
	for name, fault := range map[string]connectwisetest.Fault{
		"the answer is lost": connectwisetest.Lost(), "500 before": connectwisetest.TimeoutBody(), "429": connectwisetest.TooManyRequests(1),
		"500 after": after(func(_ *http.Request, r *connectwisetest.Response) { r.Status = 500 }),
	} {
		s, c := simulated(t)
		if _, err := c.RegisterCallback(t.Context(), receiver, ""); err != nil {
			t.Fatal(err)
		}
		fault.Match, fault.Times = connectwisetest.On("DELETE", "/system/callbacks/1"), 1
		s.AddFault(fault)
		if err := c.RemoveCallback(t.Context(), 1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := c.Callbacks(t.Context()); len(all) != 0 || err != nil {
			t.Errorf("%s: %v, %v", name, all, err)
		}
		if n := sentTo(s, "DELETE", "/1"); n != 2 {
			t.Errorf("%s: %d DELETEs", name, n)
		}
	}
}

// All pages are read, of servers with and without a Link header, and of one
// that knows no pages; a list without an end is an error.
func TestCallbackPages(t *testing.T) {
	rows := func(from, to int) string {
		var list []string
		for id := from; id <= to; id++ {
			list = append(list, fmt.Sprintf(`{"id":%d,"url":"u"}`, id))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	page := func(r *http.Request) (n int) {
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
		return n
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   int // -1: an error
	}{
		"with Link": {func(w http.ResponseWriter, r *http.Request) {
			n := page(r)
			w.Header().Set("Link", "")
			if n < 3 {
				w.Header().Set("Link", fmt.Sprintf(`<https://elsewhere.example.com/x?page=%d>; rel="next"`, n+1))
			}
			answer(200, rows(10*n, 10*n+9))(w, r)
		}, 30},
		"without Link": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, rows(pageSize*page(r), min(pageSize*page(r)+pageSize-1, 2500)))(w, r)
		}, 2501 - pageSize},
		"without pages": {answer(200, rows(1, pageSize)), pageSize},
		"without end": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, rows(pageSize*page(r), pageSize*page(r)+pageSize-1))(w, r)
		}, -1},
		"without ids": {answer(200, `[{"url":"x"}]`), -1},
	} {
		s := newServer(t, 0)
		s.on["/system/callbacks"] = test.answer
		c, _ := clientOf(t, s)
		all, err := c.Callbacks(t.Context())
		if test.want < 0 {
			if !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || len(all) != test.want {
			t.Errorf("%s: %d, %v, want %d", name, len(all), err, test.want)
		}
	}
}
