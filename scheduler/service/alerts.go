package service

import (
	"context"
	"time"

	"cwvault/scheduler"
	"cwvault/scheduler/tickets"
	"cwvault/sync"
)

// tell passes a job to [Service.sendAlerts] unless one waits already. In any case the
// session, which may be nil, is closed.
func (s *Service) tell(ctx context.Context, backend Backend, session Session, job func(context.Context, *tickets.Clerk)) {
	clerk, closeIt := backend.Clerk(), func() {}
	if session != nil {
		clerk, closeIt = session.Clerk(), session.Close
	}
	if clerk == nil || ctx.Err() != nil {
		closeIt()
		return
	}
	select {
	case s.alerts <- func(ctx context.Context) {
		defer closeIt()
		if ctx.Err() != nil {
			return
		}
		if err := sync.Recovered(func() error { job(ctx, clerk); return nil })(); err != nil {
			s.Log.Error("could not raise tickets", "error", err)
		}
	}:
	default:
		closeIt()
	}
}

// sendAlerts does the jobs that tell passes to it.
func (s *Service) sendAlerts(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case job := <-s.alerts:
			job(ctx)
		case <-ctx.Done():
		}
	}
	select {
	case job := <-s.alerts: // closes its session
		job(ctx)
	default:
	}
}

// staleAt returns when a good run is too long ago: at the third scheduled time after
// it.
func staleAt(schedule scheduler.Schedule, jitter time.Duration, good time.Time) time.Time {
	at := good
	for range 3 {
		next := schedule.Next(at)
		if next.IsZero() {
			break
		}
		at = next
	}
	return at.Add(jitter)
}

// patience is how many checks may find the service stale before it raises a ticket.
// So a machine that wakes up, or a service that was down, has time to catch up.
const patience = 5

// watchStaleness raises a ticket when no run has been good for too long. It does not
// depend on runs, because there may be none.
func (s *Service) watchStaleness(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var told time.Time // so that an open ticket is looked up only once an hour
	for seen := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, backend := s.State(), s.current()
		if !st.Now.After(st.Stale) {
			seen = 0
			continue
		}
		if seen++; seen <= patience || !backend.Config().Tickets || st.Now.Sub(told) < time.Hour {
			continue
		}
		told = st.Now
		session, err := backend.Open(ctx, nil)
		if err != nil {
			session = nil
		}
		s.tell(ctx, backend, session, func(ctx context.Context, clerk *tickets.Clerk) {
			if err != nil {
				clerk.TellUnopened(ctx, err)
			} else {
				clerk.TellStale(ctx, st.LastGood)
			}
		})
	}
}
