package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"cwvault/scheduler"
)

type serveCmd struct{}

// Run resyncs on the schedule until a signal comes.
func (serveCmd) Run(a *app) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	s, err := a.open(c, true) // wrong settings end the service now, not at the first run
	if err != nil {
		return err
	}
	last, err := s.lastRun(a.ctx)
	s.close()
	if err != nil {
		return err
	}
	sched := scheduler.New(func(ctx context.Context) error { return a.serveRun(ctx, c) }, scheduler.Options{
		Schedule: c.schedule, RunOnStart: c.runOnStart, Jitter: c.jitter, Logger: a.log.Named("scheduler"), LastRun: last,
	})
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	serving, err := a.listen(ctx, c, sched)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- sched.Run(ctx) }()
	select {
	case err = <-serving: // the listener failed: do not go on unseen
		cancel()
		return errors.Join(err, <-ended)
	case err = <-ended:
		cancel()
		return errors.Join(err, <-serving)
	}
}

// serveRun is one run of the service. Its error is a failed run, which the
// scheduler logs and counts.
func (a *app) serveRun(ctx context.Context, c *config) error {
	s, err := a.open(c, true)
	if err != nil {
		return err
	}
	defer s.close()
	r, err := s.resync(ctx, request{}, scheduler.TriggerFrom(ctx))
	if err != nil {
		return err
	}
	a.log.Info("run over", "run", r.Run, "outcome", r.Outcome, "plan", r.ID,
		"create", r.Counts.Create, "adopt", r.Counts.Adopt, "rename", r.Counts.Rename, "move", r.Counts.Move, "archive", r.Counts.Archive,
		"held", r.Counts.Held, "departed", r.Counts.Departed, "unchanged", r.Counts.Unchanged)
	for i, step := range r.Results {
		if step.Error != "" {
			a.log.Warn("step not made", "key", r.Steps[i].Key, "status", step.Status, "error", plain(step.Error))
		}
	}
	for _, h := range r.Held {
		a.log.Warn("held", "key", h.Key, "code", h.Code, "reason", plain(h.Reason))
	}
	if r.Outcome == outcomePartial {
		return fmt.Errorf("run %d: some steps were not made", r.Run)
	}
	return nil
}

// lastRun returns when the last run of the journal began; zero if none did.
func (s *session) lastRun(ctx context.Context) (time.Time, error) {
	runs, err := s.journal.Runs(ctx, 1, 0)
	if err != nil || len(runs) == 0 {
		return time.Time{}, err
	}
	return runs[0].Started, nil
}

// listen serves health until ctx is done. The channel gets one value when the
// server has ended.
func (a *app) listen(ctx context.Context, c *config, sched *scheduler.Scheduler) (<-chan error, error) {
	ended := make(chan error, 1)
	if c.Listen == "off" {
		go func() { <-ctx.Done(); ended <- nil }()
		return ended, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, configf("CWVAULT_LISTEN: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, sched.Status()) })
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	a.log.Info("listening", "address", l.Addr().String())
	go func() {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(stop); err != nil {
			server.Close()
		}
	}()
	go func() {
		err := server.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		ended <- err
	}()
	return ended, nil
}

// writeHealth says that the service is alive, and when it did what. It names
// no customer and no error text: anybody on this machine can read it.
func writeHealth(w http.ResponseWriter, st scheduler.Status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body := struct {
		Status      string     `json:"status"`
		Running     bool       `json:"running"`
		LastStart   *time.Time `json:"lastStart,omitempty"`
		LastOK      *bool      `json:"lastOk,omitempty"`
		LastSuccess *time.Time `json:"lastSuccess,omitempty"`
		Next        *time.Time `json:"next,omitempty"`
	}{Status: "alive", Running: !st.Running.Start.IsZero(), LastStart: timeOrNil(st.Last.Start),
		LastSuccess: timeOrNil(st.LastSuccess), Next: timeOrNil(st.Next)}
	if !st.Last.Start.IsZero() {
		ok := st.Last.Err == nil
		body.LastOK = &ok
	}
	_ = json.NewEncoder(w).Encode(body) // the other end has gone; nobody is left to tell
}
