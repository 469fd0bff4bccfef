package service

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/sync"
)

// TestQueue sees which requests share a run, and that none is lost.
func TestQueue(t *testing.T) {
	type made struct {
		Trigger string
		Only    []string
		IDs     []int
		Approve string
		For     []string // who asked, by the letters below
	}
	all, one := api.Request{}, api.Request{Companies: []string{"alovet"}}
	approve := api.Request{Approve: "p1"}
	for _, test := range []struct {
		name     string
		ask      func(add func(who string, r api.Request), changed func(...int))
		triggers []string // of the runs that the scheduler starts
		want     []made
	}{
		{"on schedule", func(func(string, api.Request), func(...int)) {}, []string{scheduler.OnSchedule},
			[]made{{Trigger: "schedule"}}},
		{"requests for everything share a run", func(add func(string, api.Request), changed func(...int)) {
			add("a", all)
			changed(7)
			add("b", all)
		}, []string{onRequest, onRequest}, []made{{Trigger: "request", For: []string{"a"}}, {}}},
		{"a run on schedule is for everybody who wants everything", func(add func(string, api.Request), changed func(...int)) {
			add("a", all)
			changed(7)
			add("b", one)
		}, []string{scheduler.OnSchedule, onRequest, onRequest}, []made{
			{Trigger: "schedule", For: []string{"a"}}, {Trigger: "request", Only: []string{"alovet"}, For: []string{"b"}}, {}}},
		{"callbacks share a run", func(add func(string, api.Request), changed func(...int)) {
			changed(7, 3)
			changed(3, 5)
		}, []string{onCallback, onCallback}, []made{{Trigger: "callback", IDs: []int{3, 5, 7}}, {}}},
		{"too many callbacks are everything", func(add func(string, api.Request), changed func(...int)) {
			changed(7)
			changed()
		}, []string{onCallback, onCallback}, []made{{Trigger: "callback"}, {}}},
		{"some companies, or an approval, by themselves", func(add func(string, api.Request), changed func(...int)) {
			add("a", one)
			add("b", approve)
			changed(7)
			add("c", one)
		}, []string{onRequest, onRequest, onRequest, onRequest, onRequest}, []made{
			{Trigger: "request", Only: []string{"alovet"}, For: []string{"a"}},
			{Trigger: "request", Approve: "p1", For: []string{"b"}},
			{Trigger: "request", Only: []string{"alovet"}, For: []string{"c"}},
			{Trigger: "callback", IDs: []int{7}}, {}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wakes := 0
			q := newQueue(func(string) { wakes++ })
			names := map[string]string{} // by id
			test.ask(func(who string, r api.Request) {
				asked, err := q.add(r)
				if err != nil || asked.State != "waiting" {
					t.Fatalf("%s: %+v, %v", who, asked, err)
				}
				if names[asked.ID] == "" {
					names[asked.ID] = who
				}
			}, func(ids ...int) { q.changed(ids) })
			var got []made
			for i, trigger := range test.triggers {
				b := q.next(trigger)
				r := made{Trigger: b.trigger, Only: b.request.Companies, IDs: b.request.IDs, Approve: b.request.Approve}
				for _, asked := range b.asked {
					r.For = append(r.For, names[asked.ID])
				}
				got = append(got, r)
				before := wakes
				q.progress(b, int64(i), 1, 2)
				q.over(b, int64(i), 3, "x")
				for _, asked := range b.asked {
					now, err := q.get(asked.ID)
					want := api.Asked{ID: asked.ID, State: "over", Run: int64(i), Done: 1, Total: 2, ExitCode: 3, Error: "x"}
					if diff := cmp.Diff(want, now); diff != "" || err != nil {
						t.Errorf("%v (-want +got):\n%s", err, diff)
					}
				}
				more := len(q.own) > 0 || q.everyone != nil || len(q.callback) > 0
				if woken := wakes > before; woken != more {
					t.Errorf("run %d: woken %v, more to do %v", i, woken, more)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
			for id, who := range names {
				if asked, err := q.get(id); err != nil || asked.State != "over" {
					t.Errorf("the request of %s: %+v, %v", who, asked, err)
				}
			}
		})
	}
}

// TestQueueBounds sees that requests cannot pile up without end.
func TestQueueBounds(t *testing.T) {
	q := newQueue(func(string) {})
	for range maxWaiting {
		if _, err := q.add(api.Request{Recreate: []sync.Key{"company/1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.add(api.Request{Approve: "x"}); !errors.Is(err, api.ErrTooMany) {
		t.Errorf("one more than %d: %v", maxWaiting, err)
	}
	first, err := q.add(api.Request{})
	if err != nil {
		t.Fatalf("a request that shares a run: %v", err)
	}
	for range keptAsked {
		q.over(q.next(scheduler.OnSchedule), 1, 0, "")
		if _, err := q.add(api.Request{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(q.asked) != keptAsked || len(q.order) != keptAsked {
		t.Errorf("%d requests are kept, in %d places", len(q.asked), len(q.order))
	}
	if _, err := q.get(first.ID); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a request that was long ago: %v", err)
	}
}
