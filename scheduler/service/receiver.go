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
	// answerTime is how long ConnectWise waits for our answer at most. It gives
	// up after 5 seconds, and switches a callback off that fails for days.
	answerTime = 700 * time.Millisecond
	// verifyTime bounds finding out whether a delivery is genuine.
	verifyTime = 10 * time.Second
	// maxVerifying bounds the deliveries that are being verified. Each holds
	// its body, of a megabyte at most, and all but the first ones only wait for
	// the same key.
	maxVerifying = 32
	// maxNamed is for how many companies a run is asked by name. Beyond, a run
	// of everything is as quick.
	maxNamed = 200

	// seenFor is how long a delivery is remembered, so that whoever sends it
	// again changes nothing. Afterwards it causes one more run at most.
	seenFor = 24 * time.Hour
	// seenForBare is the same for a delivery without the record. One with the
	// record tells when that was changed, so that no later change has the same
	// bytes. Without it, as for a company that is deleted, restored and deleted
	// again, two changes can look the same: the second must count soon, and a
	// flood of the first must not cause run after run.
	seenForBare = 5 * time.Minute
	// maxSeen bounds that memory: the oldest deliveries are forgotten.
	maxSeen = 10_000
)

// receiver takes ConnectWise's callbacks. It answers quickly, believes only
// what is signed, and asks for one run for all that comes within a short time.
//
// Whatever goes wrong here makes a change come later, not never: the runs on
// schedule read everything.
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
	seen      map[delivery]time.Time // genuine ones, and until when
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

// verification is what becomes of a delivery. Err is set before done is closed.
type verification struct {
	done chan struct{}
	err  error
}

// newReceiver returns a receiver that must be closed. Verify is as
// [connectwise.Client.VerifyDelivery]. Gather is how long changes are gathered
// from the first on, however many follow, before ask is called with the
// companies' ids in order, or with nil if there are too many to name. Ask must
// not block.
func newReceiver(verify func(ctx context.Context, body []byte, signature string) (Event, error),
	gather func() time.Duration, ask func(companies []int), log hclog.Logger) *receiver {
	r := &receiver{verify: verify, gather: gather, ask: ask, log: log,
		verifying: map[delivery]*verification{}, seen: map[delivery]time.Time{}}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// close ends everything that is under way. Changes that are still being
// gathered are dropped: nobody is left to make a run, and the first one of the
// next service finds them.
func (r *receiver) close() {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.work.Wait()
}

// take takes a delivery, as [dashboard.Service] wants it. It keeps body until
// that is verified. [api.ErrTooMany] is also what it answers when it could
// not be found out whether the delivery is genuine, and when the service ends:
// then ConnectWise tries again after seconds (Developer Guide, "Callbacks").
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

// begin starts to verify a delivery, or joins in where that is under way. There
// is no verification if the answer is known already.
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

// settle draws the conclusions from a verification. The caller holds mu.
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

// warn logs at most one line a minute: anybody can send callbacks.
func (r *receiver) warn(what string, err error) {
	if now := time.Now(); now.Sub(r.warned) >= time.Minute && r.ctx.Err() == nil {
		r.warned = now
		r.log.Warn(what, "error", report.Plain(err.Error()))
	}
}

// remember notes that a delivery has been dealt with.
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
