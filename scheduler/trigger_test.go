package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"cwvault/scheduler"
)

func TestTriggerWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := serve(t, newYear, func(context.Context) error {
			n++
			time.Sleep(10 * time.Minute)
			return fmt.Errorf("outcome %d", n)
		}, scheduler.Options{Schedule: every(t, "@daily"), RunOnStart: true})
		defer s.stop()
		advance(time.Minute)
		first, second, unread := s.Trigger("manual"), s.Trigger("callback"), s.Trigger("manual")
		want := scheduler.Status{
			Running: scheduler.Run{Trigger: "start", Start: newYear},
			Waiting: "manual",
			Next:    newYear.Add(day),
		}
		if diff := cmp.Diff(want, s.Status()); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		for i, answer := range []<-chan error{first, second} {
			if err := <-answer; fmt.Sprint(err) != "outcome 2" {
				t.Errorf("answer %d: %v, want that of the second run", i+1, err)
			}
		}
		expect(t, s, "start 0s", "manual 10m0s")

		third := s.Trigger("manual")
		advance(11 * time.Minute)
		if err := <-third; fmt.Sprint(err) != "outcome 3" {
			t.Errorf("answer 3: %v, want that of the third run", err)
		}
		expect(t, s, "start 0s", "manual 10m0s", "manual 20m0s")
		if len(unread) != 1 {
			t.Error("one request has no answer")
		}
	})
}

// A run that was asked for may do less than a scheduled one, so it must not take
// its place.
func TestScheduledTimeIsNotLostToARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, newYear, takes(10*time.Minute), scheduler.Options{Schedule: every(t, "0 * * * *")})
		defer s.stop()
		advance(55 * time.Minute)
		s.Trigger("callback")
		advance(2 * time.Minute)
		answer := s.Trigger("callback")
		advance(4 * time.Minute)
		if waiting := s.Status().Waiting; waiting != scheduler.OnSchedule {
			t.Errorf("%q waits, want the scheduled run", waiting)
		}
		advance(30 * time.Minute)
		expect(t, s, "callback 55m0s", "schedule 1h5m0s")
		if len(answer) != 1 {
			t.Error("the request was not answered by the scheduled run")
		}
		if missed := s.Status().Missed; missed != 0 {
			t.Errorf("Missed = %d, want 0", missed)
		}
	})
}

func TestTriggerBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var triggers []string
		s := scheduler.New(func(ctx context.Context) error {
			triggers = append(triggers, scheduler.TriggerFrom(ctx))
			return nil
		}, scheduler.Options{Schedule: every(t, "@daily")})
		early := s.Trigger("manual")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		if err := <-early; err != nil {
			t.Errorf("request before Run: %v", err)
		}
		if err := s.Run(ctx); err == nil {
			t.Error("a second Run is accepted")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := <-s.Trigger("manual"); !errors.Is(err, scheduler.ErrStopped) {
			t.Errorf("request after Run: %v", err)
		}
		if diff := cmp.Diff([]string{"manual"}, triggers); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestStopFinishesTheStepUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		s := serve(t, newYear, func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(5 * time.Second) // the step under way
			finished = true
			return ctx.Err()
		}, scheduler.Options{Schedule: every(t, "@every 1s"), RunOnStart: true})
		answer := s.Trigger("manual")
		advance(10 * time.Second)
		began := time.Now()
		s.stop()
		if took := time.Since(began); !finished || took != 5*time.Second {
			t.Errorf("Run returned after %v, the step finished: %t; want 5s, true", took, finished)
		}
		if err := <-answer; !errors.Is(err, scheduler.ErrStopped) {
			t.Errorf("the request that waited: %v", err)
		}
		status := s.Status()
		if !errors.Is(status.Last.Err, context.Canceled) || !status.Running.Start.IsZero() || !status.Next.IsZero() || status.Waiting != "" {
			t.Errorf("status after the end: %+v", status)
		}
		expect(t, s, "start 0s")
		if log := s.logged(); strings.Contains(log, "[ERROR]") {
			t.Errorf("an ordinary stop is logged as an error:\n%s", log)
		}
	})
}

func TestNothingStartsWhenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := scheduler.New(func(context.Context) error { t.Error("a run"); return nil },
			scheduler.Options{Schedule: every(t, "@daily"), RunOnStart: true})
		answer := s.Trigger("manual")
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := <-answer; !errors.Is(err, scheduler.ErrStopped) {
			t.Errorf("the request that waited: %v", err)
		}
	})
}
