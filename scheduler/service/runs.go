package service

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	"cwvault/scheduler/api"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

const (
	// runsFresh is how long a list of runs is cached. Runs of other processes are
	// only in the journal.
	runsFresh = time.Second
	// runsKept is how many lists are kept.
	runsKept = 16
)

// runsCache caches lists of runs for a moment, so that any number of page views reads
// the journal only once a second.
type runsCache struct {
	mu    gosync.Mutex
	at    time.Time
	lists map[[2]int64][]api.Run
}

func (s *Service) refreshRuns() {
	s.runs.mu.Lock()
	defer s.runs.mu.Unlock()
	s.runs.lists = nil
}

// Runs implements [dashboard.Service].
func (s *Service) Runs(ctx context.Context, limit int, before int64) ([]api.Run, error) {
	c := &s.runs
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := s.Clock(); c.lists == nil || now.Sub(c.at) > runsFresh || len(c.lists) >= runsKept {
		c.lists, c.at = map[[2]int64][]api.Run{}, now
	}
	asked := [2]int64{int64(limit), before}
	if list, ok := c.lists[asked]; ok {
		return list, nil
	}
	var list []api.Run
	err := s.withJournal(ctx, func(j *journal.Journal) (err error) {
		list, err = run.History(ctx, j, limit, before)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.lists[asked] = list
	return list, nil
}

// Run implements [dashboard.Service].
func (s *Service) Run(ctx context.Context, number int64) (r report.Run, err error) {
	err = s.withJournal(ctx, func(j *journal.Journal) error {
		r, err = run.Recorded(ctx, j, number)
		if errors.Is(err, journal.ErrNotFound) {
			return api.ErrNotFound
		}
		return err
	})
	return r, err
}

// withJournal opens the journal for reading and closes it again: a backup may replace
// the file, and an idle service should cost nothing.
func (s *Service) withJournal(ctx context.Context, read func(*journal.Journal) error) error {
	j, err := s.current().Journal(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	return read(j)
}
