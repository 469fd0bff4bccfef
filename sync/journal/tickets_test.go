package journal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTickets(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, clock := t.Context(), newClock()
		j := mustOpen(t, state, clock.now)
		claim := func(problem string) Ticket {
			t.Helper()
			got, ours, err := j.ClaimTicket(ctx, problem)
			ok(t, err)
			if !ours {
				t.Fatalf("%s: somebody else has it", problem)
			}
			return got
		}

		began := clock.now()
		got := claim("held/no-type")
		if diff := cmp.Diff(Ticket{Problem: "held/no-type", Since: began, Items: []string{}}, got); diff != "" {
			t.Errorf("a new problem (-want +got):\n%s", diff)
		}
		clock.add(time.Hour)
		full := Ticket{Problem: "held/no-type", ID: 4711, Since: began, Solved: clock.now(), Seen: 3, Mark: "beef",
			Items: []string{"company/1", "group/text:caf\u00e9", "group/text:\x00"}}
		ok(t, j.PutTicket(ctx, full))
		ok(t, j.PutTicket(ctx, Ticket{Problem: "steps", Since: began}))
		for range 2 { // also by another process, for reading
			all, err := j.Tickets(ctx)
			ok(t, err)
			if diff := cmp.Diff(map[string]Ticket{"held/no-type": full, "steps": {Problem: "steps", Since: began, Items: []string{}}}, all); diff != "" {
				t.Errorf("tickets (-want +got):\n%s", diff)
			}
			j, err = OpenReadOnly(ctx, state, Options{Now: clock.now})
			ok(t, err)
			defer j.Close()
		}
		if _, _, err := j.ClaimTicket(ctx, "steps"); err == nil {
			t.Error("a problem was claimed by one who may only read")
		}

		j = mustOpen(t, state, clock.now)
		if diff := cmp.Diff(full, claim("held/no-type")); diff != "" {
			t.Errorf("a known problem (-want +got):\n%s", diff)
		}
		ok(t, j.ForgetTicket(ctx, "held/no-type"))
		if diff := cmp.Diff(Ticket{Problem: "held/no-type", Since: clock.now(), Items: []string{}}, claim("held/no-type")); diff != "" {
			t.Errorf("a forgotten problem (-want +got):\n%s", diff)
		}
	})
}

// One at a time works on a problem, and nobody waits for the dead.
func TestTicketClaims(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, clock := t.Context(), newClock()
		one, other := mustOpen(t, state, clock.now), mustOpen(t, state, clock.now)
		try := func(who *Journal, want bool, when string) {
			t.Helper()
			if _, ours, err := who.ClaimTicket(ctx, "steps"); ours != want || err != nil {
				t.Errorf("%s: claimed is %v (%v), want %v", when, ours, err, want)
			}
		}
		try(one, true, "at first")
		try(other, false, "while claimed")
		try(one, false, "while claimed by another part of the process")
		clock.add(-10 * time.Second)
		try(other, false, "by one who looked at the clock earlier")
		clock.add(10 * time.Second)
		ok(t, one.PutTicket(ctx, Ticket{Problem: "steps", ID: 7, Since: clock.now()}))
		try(other, true, "when written")
		ok(t, other.ForgetTicket(ctx, "steps"))
		try(one, true, "when forgotten")
		clock.add(claimLife - time.Second)
		try(other, false, "a second before the claim ends")
		clock.add(time.Second)
		try(other, true, "when the claim has ended")
		clock.add(-24 * time.Hour)
		try(one, true, "when the clock was set back")
	})
}

// What nobody came back to tell of, and what they were not sure of, is told.
func TestTicketUnsure(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		ctx, clock := t.Context(), newClock()
		j := mustOpen(t, state, clock.now)
		check := func(want bool, when string) {
			t.Helper()
			all, err := j.Tickets(ctx)
			ok(t, err)
			claimed, ours, err := j.ClaimTicket(ctx, "steps")
			ok(t, err)
			if got := all["steps"].Unsure; got != want || claimed.Unsure != want || !ours {
				t.Errorf("%s: unsure is %v, and %v when claimed (%v); want %v", when, got, claimed.Unsure, ours, want)
			}
		}
		check(false, "new")
		if all, err := j.Tickets(ctx); err != nil || all["steps"].Unsure {
			t.Errorf("while claimed: %v, %+v", err, all)
		}
		ok(t, j.PutTicket(ctx, Ticket{Problem: "steps", ID: 7, Since: clock.now()}))
		check(false, "written")
		clock.add(claimLife)
		check(true, "claimed, and never written")
		ok(t, j.PutTicket(ctx, Ticket{Problem: "steps", ID: 7, Since: clock.now(), Unsure: true}))
		check(true, "written as unsure")
		ok(t, j.PutTicket(ctx, Ticket{Problem: "steps", ID: 7, Since: clock.now()}))
		check(false, "written again")
	})
}
