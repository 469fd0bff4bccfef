package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"cwvault/sync"
)

// Memory is what a run needs to know about earlier runs.
type Memory struct {
	Fingerprint *Fingerprint // nil: no run has recorded one
	LastGood    *GoodRun     // nil: there was none
	Places      map[sync.Key]KnownPlace
	Intents     []Intent // the oldest first
	Pauses      map[sync.Key]Pause
	Failures    map[sync.Key]Failure // of the keys whose last attempt failed
	Pending     map[sync.Key]PendingMove
}

// Fingerprint says which installation a journal belongs to. A run compares it
// with its settings before it writes anywhere.
type Fingerprint struct {
	Tenant string // ConnectWise login company id
	Vault  string // the vault's address
	Root   string // path of the root
	RootID string // the vault's id of the root
	Layout string // structure, names and filters, or a digest of them
}

// GoodRun is a run whose [Finish] was good.
type GoodRun struct {
	RunID     int64
	Companies int
	At        time.Time // when it started
}

// KnownPlace is where a managed folder was seen last.
type KnownPlace struct {
	Key      sync.Key
	FolderID string
	Parent   sync.Key // [sync.RootKey] for the root
	Name     string
	Path     string
}

// Intent is a create that began and whose result is unknown. The folder may exist,
// perhaps without its mark.
type Intent struct {
	RunID  int64
	Seq    int
	Key    sync.Key
	Parent sync.Key // [sync.RootKey] for the root
	Name   string
	Path   string
	Began  time.Time
}

// Failure says that the step for a key failed in the last run or runs.
type Failure struct {
	Key         sync.Key
	Count       int
	First, Last time.Time
	Next        time.Time // no attempt before this
	Error       string    // of the last time
}

// PendingMove is a move that ConnectWise wants but that was not made yet.
type PendingMove struct {
	Key   sync.Key
	To    string    // any text that identifies the new place
	Since time.Time // since when To has been wanted without a break
}

// Recall returns everything a run needs to know about earlier runs, read at one
// moment. It needs no lease. If there is no journal yet, the memory is empty.
func (j *Journal) Recall(ctx context.Context) (Memory, error) {
	return readAt(ctx, j, "recall", func(ctx context.Context, q querier) (m Memory, err error) {
		if m.Fingerprint, err = readFingerprint(ctx, q); err != nil {
			return Memory{}, err
		}
		if m.LastGood, err = readLastGood(ctx, q); err != nil {
			return Memory{}, err
		}
		if m.Places, err = readPlaces(ctx, q); err != nil {
			return Memory{}, err
		}
		if m.Intents, err = readIntents(ctx, q); err != nil {
			return Memory{}, err
		}
		if m.Pauses, err = readPauses(ctx, q); err != nil {
			return Memory{}, err
		}
		if m.Failures, err = readFailures(ctx, q, j.now()); err != nil {
			return Memory{}, err
		}
		if m.Pending, err = readPending(ctx, q); err != nil {
			return Memory{}, err
		}
		return m, nil
	})
}

// readAt calls read on a snapshot of the database. If there is no journal yet,
// read gets a nil querier.
func readAt[T any](ctx context.Context, j *Journal, op string, read func(context.Context, querier) (T, error)) (result T, err error) {
	if j.db == nil {
		return read(ctx, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	// SQLite ignores the isolation level: each of its transactions is a snapshot.
	tx, err := j.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return result, j.fail(op, err)
	}
	defer tx.Rollback()
	result, err = read(ctx, tx)
	return result, j.fail(op, err)
}

func readFingerprint(ctx context.Context, q querier) (*Fingerprint, error) {
	return first(query(ctx, q, func(scan func(...any) error) (f Fingerprint, err error) {
		var value string
		if err := scan((*text)(&value)); err != nil {
			return f, err
		}
		return f, json.Unmarshal([]byte(value), &f)
	}, `SELECT value FROM cwvault_meta WHERE name = 'fingerprint'`))
}

func readLastGood(ctx context.Context, q querier) (*GoodRun, error) {
	return first(query(ctx, q, func(scan func(...any) error) (g GoodRun, err error) {
		return g, scan(&g.RunID, &g.Companies, (*stamp)(&g.At))
	}, `SELECT id, companies, started FROM cwvault_run WHERE good = 1 ORDER BY id DESC LIMIT 1`))
}

func readPlaces(ctx context.Context, q querier) (map[sync.Key]KnownPlace, error) {
	return byKey(func(p KnownPlace) sync.Key { return p.Key })(query(ctx, q, func(scan func(...any) error) (p KnownPlace, err error) {
		err = scan((*text)(&p.Key), (*text)(&p.FolderID), (*text)(&p.Parent), (*text)(&p.Name), (*text)(&p.Path))
		return p, err
	}, `SELECT key, folder_id, parent_key, name, path FROM cwvault_place`))
}

func readIntents(ctx context.Context, q querier) ([]Intent, error) {
	return query(ctx, q, func(scan func(...any) error) (i Intent, err error) {
		err = scan(&i.RunID, &i.Seq, (*text)(&i.Key), (*text)(&i.Parent), (*text)(&i.Name), (*text)(&i.Path), (*stamp)(&i.Began))
		return i, err
	}, `SELECT run, seq, key, parent_id, name, to_path, began FROM cwvault_step
		WHERE status = '' AND op = 'create' ORDER BY run, seq`)
}

func readPauses(ctx context.Context, q querier) (map[sync.Key]Pause, error) {
	return byKey(func(p Pause) sync.Key { return p.Key })(query(ctx, q, func(scan func(...any) error) (p Pause, err error) {
		err = scan((*text)(&p.Key), (*text)(&p.Reason), (*stamp)(&p.Since))
		return p, err
	}, `SELECT key, reason, since FROM cwvault_pause`))
}

func readFailures(ctx context.Context, q querier, now time.Time) (map[sync.Key]Failure, error) {
	return byKey(func(f Failure) sync.Key { return f.Key })(query(ctx, q, func(scan func(...any) error) (f Failure, err error) {
		err = scan((*text)(&f.Key), &f.Count, (*stamp)(&f.First), (*stamp)(&f.Last), (*stamp)(&f.Next), (*text)(&f.Error))
		if f.Next.Sub(now) > longestRest { // the clock was set back
			f.Next = now
		}
		return f, err
	}, `SELECT key, count, first, last, next, error FROM cwvault_failure`))
}

func readPending(ctx context.Context, q querier) (map[sync.Key]PendingMove, error) {
	return byKey(func(m PendingMove) sync.Key { return m.Key })(query(ctx, q, func(scan func(...any) error) (m PendingMove, err error) {
		err = scan((*text)(&m.Key), (*text)(&m.To), (*stamp)(&m.Since))
		return m, err
	}, `SELECT key, place, since FROM cwvault_want`))
}

// first returns the first of a query's results, nil if there is none.
func first[T any](list []T, err error) (*T, error) {
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// byKey returns a function that makes a map of a query's results.
func byKey[T any](key func(T) sync.Key) func([]T, error) (map[sync.Key]T, error) {
	return func(list []T, err error) (map[sync.Key]T, error) {
		if err != nil {
			return nil, err
		}
		m := make(map[sync.Key]T, len(list))
		for _, one := range list {
			m[key(one)] = one
		}
		return m, nil
	}
}
