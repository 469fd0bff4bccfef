package cli

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"cwvault/scheduler/api"
	"cwvault/sync"
)

// TestServiceApprove copies the id of the plan from the page, after runs of
// every kind, and approves that plan.
func TestServiceApprove(t *testing.T) {
	t.Parallel()
	const companies = 60
	prospects := func(w *scriptWorld) {
		for i := range 30 {
			w.SetTypes(110+i, w.types["Prospect"])
		}
	}
	everything := func(s *runningService, _ *scriptWorld) { s.over(s.ask(api.Request{})) }
	for name, c := range map[string]struct {
		settings []string // of the service, not of the first run
		change   func(w *scriptWorld)
		run      func(s *runningService, w *scriptWorld)
	}{
		"moves": {change: prospects, run: everything},
		"moves, and others are made": {
			change: func(w *scriptWorld) { prospects(w); w.Rename(150, "Birch") }, run: everything,
		},
		"moves, and the first run is of one company": {
			change: func(w *scriptWorld) { prospects(w); w.Rename(150, "Birch"); w.Rename(151, "Cedar") },
			run:    func(s *runningService, _ *scriptWorld) { s.over(s.ask(api.Request{Companies: []string{"150"}})) },
		},
		"moves, and then a run of one company": {
			change: func(w *scriptWorld) { prospects(w); w.Rename(150, "Birch") },
			run: func(s *runningService, w *scriptWorld) {
				s.over(s.ask(api.Request{}))
				s.over(s.ask(api.Request{Companies: []string{"100"}}))
			},
		},
		"moves that callbacks tell of": {
			change: func(*scriptWorld) {},
			run: func(s *runningService, w *scriptWorld) {
				s.over(s.ask(api.Request{}))
				if code := cwvault(s.t.Context(), []string{"callbacks", "register", s.base + api.CallbackPath}, s.env, io.Discard, io.Discard); code != exitOK {
					s.t.Fatalf("callbacks register: exit code %d", code)
				}
				// One run is held up until all callbacks have come, so that the next
				// is about all of them.
				entered, release, _ := w.holdReadings(s.t)
				w.Rename(155, "Dogwood")
				<-entered
				prospects(w)
				s.eventually("the callbacks", func() bool {
					delivered := 0
					for _, d := range w.Deliveries() {
						if d.Status/100 == 2 {
							delivered++
						}
					}
					return delivered == 31
				})
				release()
				s.eventually("the run", func() bool { return len(s.State().Look.Blocked) >= 30 })
			},
		},
		"moves, and a wrong id": {
			change: prospects,
			run:    func(s *runningService, _ *scriptWorld) { s.over(s.ask(api.Request{Approve: "wrong"})) },
		},
		"renames, and others are made": {
			change: func(w *scriptWorld) {
				for i := range 30 {
					w.Rename(110+i, fmt.Sprintf("Renamed %02d", i))
				}
				w.add(300, "New", "Customer", "Active")
			}, run: everything,
		},
		"archives, and others are made": {
			settings: []string{"CWVAULT_DEPARTED=archive", "CWVAULT_MAX_SOURCE_DROP=off"},
			change: func(w *scriptWorld) {
				for i := range 15 {
					w.Delete(110 + i)
				}
				w.add(300, "New", "Prospect", "Active")
			}, run: everything,
		},
		"another layout": {
			settings: []string{"CWVAULT_FOLDER_STRUCTURE=$STATUS"}, change: func(*scriptWorld) {}, run: everything,
		},
		"moves that settle, and others are made": {
			settings: []string{"CWVAULT_SETTLE=24h"},
			change:   func(w *scriptWorld) { w.SetTypes(110, w.types["Prospect"]); w.Rename(150, "Birch") }, run: everything,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newSite(t)
			for i := range companies {
				site.world.add(100+i, fmt.Sprintf("Company %02d", i), "Customer", "Active")
			}
			site.must(exitOK, "resync")
			s := serveHere(t, site.env, c.settings...)
			site.env = append(site.env, c.settings...)
			c.change(site.world)
			c.run(s, site.world)

			st := s.State()
			id := st.Look.Pending.ID
			if len(st.Look.Pending.Steps) == 0 || st.NotInStep.IsZero() {
				t.Fatalf("nothing waits: %d steps, not in step since %v", len(st.Look.Pending.Steps), st.NotInStep)
			}
			if _, page := s.get("/"); len(st.Look.Blocked) > 0 && !strings.Contains(page, id) {
				t.Errorf("the page does not show the id %s", id)
			}
			if got := s.over(s.ask(api.Request{Approve: id})); got.ExitCode != exitOK {
				t.Errorf("the plan approved: %+v", got)
			}
			if st := s.State(); len(st.Look.Pending.Steps) > 0 || !st.NotInStep.IsZero() {
				t.Errorf("after it %d steps are pending, not in step since %v", len(st.Look.Pending.Steps), st.NotInStep)
			}
			site.must(exitOK, "plan", "--detailed-exitcode")
		})
	}
}

// TestServiceApproveAccess does the same for a move that lets others in, beside
// one that does not.
func TestServiceApproveAccess(t *testing.T) {
	t.Parallel()
	site := newVaultSite(t)
	for i := range 4 {
		site.world.add(100+i, fmt.Sprintf("Company %d", i), "Customer", "Active")
	}
	site.world.add(200, "Other", "Prospect", "Active")
	s := serveHere(t, site.env, "CWVAULT_ACCESS=hold")
	s.over(s.ask(api.Request{}))
	for _, f := range site.server.Folders() {
		if f.Path == `\Clients\Prospect` {
			site.server.BreakInheritance(f.ID)
			site.server.Grant(f.ID, "Helpdesk", "View", "List")
		}
	}
	site.world.SetTypes(100, site.world.types["Prospect"])
	site.world.Rename(101, "Alder")
	if got := s.over(s.ask(api.Request{})); got.ExitCode != exitOK || got.Done != 1 {
		t.Fatalf("a move that lets others in: %+v\n%s", got, s.log)
	}
	look := s.State().Look
	if len(look.Pending.Steps) != 1 || !look.Blocked["company/100"] || look.Pending.Held[0].Code != sync.HeldAccessWidens {
		t.Errorf("pending: %+v", look.Pending)
	}
	if _, page := s.get("/"); !strings.Contains(page, "--approve "+look.Pending.ID) || !strings.Contains(page, `name="approve" value="`+look.Pending.ID) {
		t.Errorf("the page does not show the id %s, or offers no approval of it", look.Pending.ID)
	}
	if got := s.over(s.ask(api.Request{Approve: look.Pending.ID})); got.ExitCode != exitOK || got.Done != 1 {
		t.Errorf("the plan approved: %+v", got)
	}
}
