package service

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	gosync "sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"cwvault/scheduler/api"
	"cwvault/sync"
	"cwvault/sync/report"
)

const (
	// answerTime is how long an answer to ConnectWise may take. ConnectWise gives
	// up after 5 seconds and switches off a callback that fails for days.
	answerTime = 700 * time.Millisecond
	// verifyTime limits the verification of a delivery.
	verifyTime = 10 * time.Second
	// maxVerifying limits the deliveries in verification. Each holds its body, of
	// at most a megabyte, and most of them only wait for the same key.
	maxVerifying = 32
	// maxNamed is how many companies a run may name. For more, a run of everything
	// is as quick.
	maxNamed = 200

	// seenFor is how long a delivery is remembered, so that a replay has no effect.
	// Afterwards a replay causes at most one more run.
	seenFor = 24 * time.Hour
	// seenForBare is the same for a delivery without the record. A record says when
	// it was changed, so no later change has the same bytes. Without it, as when a
	// company is deleted, restored and deleted again, two changes can look the
	// same. The second must count soon, but a flood of the first must not cause run
	// after run.
	seenForBare = 5 * time.Minute
	// maxSeen limits that memory: the oldest deliveries are forgotten.
	maxSeen = 10_000
)

// receiver receives ConnectWise's callbacks. It answers quickly, accepts only signed
// deliveries, and requests one run for all that arrive within a short time.
//
// A failure here only delays a change, because scheduled runs read everything.
type receiver struct {
	verify func(ctx context.Context, body []byte, signature string) (Event, error)
	gather func() time.Duration
	ask    func(companies []int)
	log    hclog.Logger

	ctx  context.Context // until close
	stop context.CancelFunc
	work gosync.WaitGroup

	mu        gosync.Mutex
	verifying map[delivery]*verification
	seen      map[delivery]time.Time // genuine ones, and how long to remember them
	order     []delivery             // of seen, the oldest first
	changed   map[int]bool           // companies of the window; nil: none is open
	warned    time.Time
}

// Event is what a genuine delivery says.
type Event struct {
	Company int    // its id
	Action  string // what was done to it, in ConnectWise's words
}

// delivery identifies a body with its signature.
type delivery [sha256.Size]byte

func newDelivery(body []byte, signature string) (d delivery) {
	h := sha256.New()
	of := sha256.Sum256([]byte(signature)) // of a fixed length, so that no byte can change sides
	h.Write(of[:])
	h.Write(body)
	h.Sum(d[:0])
	return d
}

// verification is the result of verifying a delivery. err is set before done is closed.
type verification struct {
	done chan struct{}
	err  error
}

// newReceiver returns a receiver that must be closed. verify is like
// [connectwise.Client.VerifyDelivery]. The receiver gathers changes for the duration
// gather after the first one. Then it calls ask with the companies' ids in order, or
// with nil if there are too many to name. ask must not block.
func newReceiver(verify func(ctx context.Context, body []byte, signature string) (Event, error),
	gather func() time.Duration, ask func(companies []int), log hclog.Logger) *receiver {
	r := &receiver{verify: verify, gather: gather, ask: ask, log: log,
		verifying: map[delivery]*verification{}, seen: map[delivery]time.Time{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// close ends all verifications. It drops the gathered changes: this service makes no
// more runs, and the first run of the next one finds them.
func (r *receiver) close() {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.work.Wait()
}

// take accepts a delivery; see [dashboard.Service]. It keeps body until that is verified.
// It also returns [api.ErrTooMany] if the delivery cannot be verified now, and if the
// service ends: then ConnectWise retries after seconds (Developer Guide, "Callbacks").
func (r *receiver) take(ctx context.Context, body []byte, signature string) error {
	v, err := r.begin(body, signature)
	if v == nil {
		return err
	}
	patience := time.NewTimer(answerTime)
	defer patience.Stop()
	select {
	case <-v.done:
		return v.err
	case <-patience.C:
	case <-ctx.Done():
	}
	return api.ErrUndecided
}

// begin starts to verify a delivery, or returns a verification in progress. If the
// answer is known already, it returns no verification.
func (r *receiver) begin(body []byte, signature string) (*verification, error) {
	d := newDelivery(body, signature)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return nil, api.ErrTooMany
	}
	if until, known := r.seen[d]; known && time.Now().Before(until) {
		return nil, nil
	}
	if v := r.verifying[d]; v != nil {
		return v, nil
	}
	if len(r.verifying) >= maxVerifying {
		return nil, api.ErrTooMany
	}
	v := &verification{done: make(chan struct{})}
	r.verifying[d] = v
	r.work.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, verifyTime)
		defer cancel()
		var event Event
		err := sync.Recovered(func() (err error) {
			event, err = r.verify(ctx, body, signature)
			return err
		})()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.verifying, d)
		v.err = r.settle(d, body, event, err)
		close(v.done)
	})
	return v, nil
}

// settle handles the result of a verification. The caller holds mu.
func (r *receiver) settle(d delivery, body []byte, event Event, err error) error {
	switch {
	case errors.Is(err, api.ErrForged):
		r.warn("a callback was refused", err)
		return api.ErrForged
	case err != nil:
		r.warn("a callback could not be verified; if it was genuine, the next run finds the change", err)
		return api.ErrTooMany
	}
	r.remember(d, body)
	r.note(event)
	return nil
}

// warn logs at most one line a minute, because anybody can send callbacks.
func (r *receiver) warn(what string, err error) {
	if now := time.Now(); now.Sub(r.warned) >= time.Minute && r.ctx.Err() == nil {
		r.warned = now
		r.log.Warn(what, "error", report.Plain(err.Error()))
	}
}

// remember records a delivery, so that a replay has no effect.
func (r *receiver) remember(d delivery, body []byte) {
	var told struct{ Entity *string }
	life := seenFor
	if json.Unmarshal(body, &told) != nil || told.Entity == nil || *told.Entity == "" {
		life = seenForBare
	}
	if _, known := r.seen[d]; !known {
		r.order = append(r.order, d)
	}
	r.seen[d] = time.Now().Add(life)
	for len(r.order) > maxSeen {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
}

// note adds a change to the window, and opens one if none is open.
func (r *receiver) note(event Event) {
	r.log.Debug("ConnectWise reports a change", "company", event.Company, "action", report.Plain(event.Action))
	opens := r.changed == nil
	if opens {
		r.changed = map[int]bool{}
	}
	if len(r.changed) <= maxNamed {
		r.changed[event.Company] = true
	}
	if !opens {
		return
	}
	window := time.NewTimer(r.gather())
	r.work.Go(func() {
		defer window.Stop()
		select {
		case <-window.C:
		case <-r.ctx.Done():
			return
		}
		r.mu.Lock()
		companies := slices.Sorted(maps.Keys(r.changed))
		r.changed = nil
		r.mu.Unlock()
		if len(companies) > maxNamed {
			companies = nil
		}
		r.ask(companies)
	})
}
