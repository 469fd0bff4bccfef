package service

import (
	"crypto/rand"
	"maps"
	"slices"
	gosync "sync"

	"cwvault/scheduler"
	"cwvault/scheduler/api"
	"cwvault/sync/run"
)

const (
	// maxWaiting limits the waiting requests that need a run of their own.
	maxWaiting = 50
	// keptAsked is how many requests are remembered, including those that wait.
	keptAsked = 1000
)

// queue holds the requests between two runs of the service. Requests for everything
// share a run, and so do callbacks. A request for some companies, or to approve or
// recreate something, gets a run of its own, so that its errors affect nobody else.
type queue struct {
	// wake requests a run from the scheduler.
	wake func(reason string)

	mu       gosync.Mutex
	everyone *api.Asked   // waits for a run of everything
	callback map[int]bool // companies that ConnectWise reported
	own      []*ownRequest
	asked    map[string]*api.Asked // by id
	order    []string              // of the ids, the oldest first
}

type ownRequest struct {
	asked   *api.Asked
	request run.Request
}

// batch is one run and the requests that it serves. Without a trigger there is nothing
// to do: the run before served them.
type batch struct {
	request run.Request
	trigger string
	asked   []*api.Asked
}

// The triggers of requested runs.
const (
	onRequest  = "request"  // by a person, through the service
	onCallback = "callback" // by ConnectWise
)

func newQueue(wake func(reason string)) *queue {
	return &queue{wake: wake, callback: map[int]bool{}, asked: map[string]*api.Asked{}}
}

// add queues a person's request.
func (q *queue) add(r api.Request) (api.Asked, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	plain := len(r.Companies) == 0 && r.Approve == "" && len(r.Recreate) == 0
	if plain && q.everyone != nil {
		return *q.everyone, nil
	}
	if !plain && len(q.own) >= maxWaiting {
		return api.Asked{}, api.ErrTooMany
	}
	asked := &api.Asked{ID: rand.Text(), State: api.Waiting}
	q.asked[asked.ID] = asked
	q.order = append(q.order, asked.ID)
	if len(q.order) > keptAsked {
		delete(q.asked, q.order[0])
		q.order = slices.Delete(q.order, 0, 1)
	}
	if plain {
		q.everyone = asked
	} else {
		q.own = append(q.own, &ownRequest{asked, run.Request{Companies: r.Companies, Approve: r.Approve, Recreate: r.Recreate}})
	}
	q.wake(onRequest)
	return *asked, nil
}

// changed queues companies that ConnectWise reported. None means that there are too
// many to name.
func (q *queue) changed(companies []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(companies) == 0 {
		companies = []int{0} // no company has this id
	}
	for _, id := range companies {
		q.callback[id] = true
	}
	q.wake(onCallback)
}

// next returns the run to make now. The scheduler's trigger says whether a run of
// everything is due anyway.
func (q *queue) next(trigger string) batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	var b batch
	everything := trigger == scheduler.OnSchedule || trigger == scheduler.OnStart || trigger == scheduler.OnCatchUp
	switch {
	case everything, q.everyone != nil, q.callback[0]:
		b.trigger = onCallback
		if q.everyone != nil {
			b.trigger, b.asked = onRequest, []*api.Asked{q.everyone}
		}
		if everything {
			b.trigger = trigger
		}
		q.everyone = nil
		clear(q.callback)
	case len(q.own) > 0:
		b.trigger, b.request, b.asked = onRequest, q.own[0].request, []*api.Asked{q.own[0].asked}
		q.own = slices.Delete(q.own, 0, 1)
	case len(q.callback) > 0:
		b.trigger, b.request.IDs = onCallback, slices.Sorted(maps.Keys(q.callback))
		clear(q.callback)
	}
	for _, asked := range b.asked {
		asked.State = api.Running
	}
	return b
}

// progress records the progress of a run in the requests that it serves.
func (q *queue) progress(b batch, number int64, done, total int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, asked := range b.asked {
		asked.Run, asked.Done, asked.Total = number, done, total
	}
}

// over records how a run ended in the requests that it served, and requests a run for
// those that arrived meanwhile.
func (q *queue) over(b batch, number int64, exitCode int, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, asked := range b.asked {
		asked.State, asked.Run, asked.ExitCode, asked.Error = api.Over, number, exitCode, text
	}
	switch {
	case q.everyone != nil || len(q.own) > 0:
		q.wake(onRequest)
	case len(q.callback) > 0:
		q.wake(onCallback)
	}
}

// get returns the state of a request.
func (q *queue) get(id string) (api.Asked, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if asked := q.asked[id]; asked != nil {
		return *asked, nil
	}
	return api.Asked{}, api.ErrNotFound
}
