package journal

import (
	"context"
	"syscall"
	"testing"
)

// TestWhoCanBeReplaced is for Linux, where it is known who is dead.
func TestWhoCanBeReplaced(t *testing.T) {
	me := Self()
	if me.Start == 0 || me.Boot == "" || me.Space == "" || me.Host == "" {
		t.Fatalf("this process is not known well enough: %+v", me)
	}
	gone := startChild(t, "none")
	deadPID := gone.cmd.Process.Pid
	ok(t, gone.cmd.Wait())
	zombie := startChild(t, "none") // ends at once and is not reaped before the test ends
	waitFor(t, "the child's end", func() bool {
		_, ended, err := processStart(zombie.cmd.Process.Pid)
		return err == nil && ended
	})
	with := func(change func(*Owner)) Owner {
		o := me
		change(&o)
		return o
	}
	cases := map[string]struct {
		owner   Owner
		replace bool
	}{
		"this process":                    {me, false},
		"a living process":                {with(func(o *Owner) { o.PID, o.Start = 1, 0 }), false},
		"a dead process":                  {with(func(o *Owner) { o.PID = deadPID }), true},
		"a process not reaped":            {with(func(o *Owner) { o.PID, o.Start = zombie.cmd.Process.Pid, 0 }), true},
		"its number was given anew":       {with(func(o *Owner) { o.Start-- }), true},
		"dead, on another machine":        {with(func(o *Owner) { o.PID, o.Host = deadPID, "elsewhere" }), false},
		"dead, in another container":      {with(func(o *Owner) { o.PID, o.Space = deadPID, "pid:[1]" }), false},
		"dead, in an unknown container":   {with(func(o *Owner) { o.PID, o.Space = deadPID, "" }), false},
		"dead, before the machine's boot": {with(func(o *Owner) { o.PID, o.Boot = deadPID, "other" }), false},
		"dead, boot unknown":              {with(func(o *Owner) { o.PID, o.Boot = deadPID, "" }), false},
	}
	eachDatabase(t, func(t *testing.T, state string) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				holder, other := mustOpen(t, state, nil), mustOpen(t, state, nil)
				l, err := holder.Acquire(t.Context(), test.owner)
				ok(t, err)
				defer func() { ok(t, l.Release(context.Background())) }()
				_, err = other.Acquire(t.Context(), me)
				if replaced := err == nil; replaced != test.replace {
					t.Errorf("replaced: %v, want %v (%v)", replaced, test.replace, err)
				}
			})
		}
	})
}

func TestHolderThatSleptNotices(t *testing.T) {
	eachDatabase(t, func(t *testing.T, state string) {
		j := mustOpen(t, state, nil)
		p := startChild(t, "hold", state)
		p.line("held")
		_, err := p.in.Write([]byte("step\n"))
		ok(t, err)
		if got := p.line("begin"); got != "true false" {
			t.Fatalf("a step while it holds the lease: %s", got)
		}
		ok(t, p.cmd.Process.Signal(syscall.SIGSTOP))
		_, err = j.Acquire(t.Context(), Self())
		wantError(t, err, ErrHeld) // it lives
		setLease(t, j, expired)    // it slept on
		_, err = j.Acquire(t.Context(), Self())
		ok(t, err)
		ok(t, p.cmd.Process.Signal(syscall.SIGCONT))
		_, err = p.in.Write([]byte("step\n"))
		ok(t, err)
		if got := p.line("begin"); got != "false true" {
			t.Errorf("a step after the lease was taken (recorded, lost): %s", got)
		}
	})
}
