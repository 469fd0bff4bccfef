package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cwvault/sync"
)

// Place is where a managed folder was seen last.
type Place struct {
	Key       sync.Key
	FolderID  string
	ParentKey sync.Key // empty below the root itself
	Name      string
	Path      string
	// GoneSince is when the folder was first not found where it should be: a
	// tombstone. Zero while it is there.
	GoneSince time.Time
}

// Places returns the last known place of every managed folder.
func (j *Journal) Places(ctx context.Context) (map[sync.Key]Place, error) {
	list, err := rows(ctx, j, "read places", func(scan func(...any) error) (Place, error) {
		var p Place
		err := scan((*text)(&p.Key), (*text)(&p.FolderID), (*text)(&p.ParentKey), (*text)(&p.Name), (*text)(&p.Path), (*stamp)(&p.GoneSince))
		return p, err
	}, `SELECT key, folder_id, parent_key, name, path, gone FROM cwvault_place`)
	return byKey(list, func(p Place) sync.Key { return p.Key }), err
}

func byKey[T any](list []T, key func(T) sync.Key) map[sync.Key]T {
	m := make(map[sync.Key]T, len(list))
	for _, one := range list {
		m[key(one)] = one
	}
	return m
}

// PutPlaces records places, replacing what was known of their keys, which
// must be distinct. Each place is true by itself: after an error some may be
// recorded and others not. It needs the lease, and is cheapest when only what
// has changed is given.
func (j *Journal) PutPlaces(ctx context.Context, places []Place) error {
	if len(byKey(places, func(p Place) sync.Key { return p.Key })) < len(places) {
		return errors.New("journal: two places for one key")
	}
	for batch := range slices.Chunk(places, 2000) { // a transaction each, so that nobody waits long
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error {
			// Few enough, since SQLite's driver searches all parameters for each.
			for part := range slices.Chunk(batch, 20) {
				args := make([]any, 0, 6*len(part))
				for _, p := range part {
					args = append(args, text(p.Key), text(p.FolderID), text(p.ParentKey), text(p.Name), text(p.Path), stamp(p.GoneSince))
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO cwvault_place (key, folder_id, parent_key, name, path, gone)
					VALUES `+parameters(len(part), 6)+` ON CONFLICT (key) DO UPDATE SET folder_id = excluded.folder_id,
					parent_key = excluded.parent_key, name = excluded.name, path = excluded.path, gone = excluded.gone`, args...); err != nil {
					return err
				}
			}
			return nil
		}}); err != nil {
			return j.fail("write places", err)
		}
	}
	return nil
}

// parameters returns "($1,$2),($3,$4)" for two rows of width 2.
func parameters(rows, width int) string {
	var b strings.Builder
	for i := range rows * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String() + ")"
}

// Forget removes what is known of a key: its place, with the tombstone, its
// failures, and what was wanted for it. It needs the lease.
func (j *Journal) Forget(ctx context.Context, key sync.Key) error {
	return j.fail("forget a key", j.commit(ctx, &write{fenced: true, do: func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{"cwvault_place", "cwvault_failure", "cwvault_want"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE key = $1`, text(key)); err != nil {
				return err
			}
		}
		return nil
	}}))
}

// Fingerprint says which installation a journal belongs to, so that a setting
// that points elsewhere is noticed before anything is written there.
type Fingerprint struct {
	Tenant string // ConnectWise login company id
	Vault  string // the vault's address
	Root   string // path of the root
	RootID string // the vault's id of the root
	Layout string // structure, names and filters, or a digest of them
}

// Fingerprint returns what SetFingerprint recorded last, and whether it has.
func (j *Journal) Fingerprint(ctx context.Context) (Fingerprint, bool, error) {
	found, err := rows(ctx, j, "read the fingerprint", func(scan func(...any) error) (f Fingerprint, err error) {
		var value string
		if err := scan((*text)(&value)); err != nil {
			return f, err
		}
		return f, json.Unmarshal([]byte(value), &f)
	}, `SELECT value FROM cwvault_meta WHERE name = 'fingerprint'`)
	if err != nil || len(found) == 0 {
		return Fingerprint{}, false, err
	}
	return found[0], true, nil
}

// SetFingerprint records the installation. It needs the lease.
func (j *Journal) SetFingerprint(ctx context.Context, f Fingerprint) error {
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = j.exec(ctx, "write the fingerprint", true, `INSERT INTO cwvault_meta (name, value) VALUES ('fingerprint', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, text(value))
	return err
}

// PlanUsed reports whether UsePlan has recorded this plan.
func (j *Journal) PlanUsed(ctx context.Context, planID string) (bool, error) {
	found, err := rows(ctx, j, "look for a used plan", func(scan func(...any) error) (n int, err error) {
		err = scan(&n)
		return n, err
	}, `SELECT count(*) FROM cwvault_used WHERE plan_id = $1`, text(planID))
	return len(found) > 0 && found[0] > 0, err
}

// UsePlan records that the plan of this id was applied after review, or fails
// with ErrUsed if it was before. Such a record lasts until [Journal.Prune]
// forgets it. It needs the lease.
func (j *Journal) UsePlan(ctx context.Context, planID string) error {
	if planID == "" {
		return errors.New("journal: no plan id")
	}
	n, err := j.exec(ctx, "use a plan", true, `INSERT INTO cwvault_used (plan_id, at) VALUES ($1, $2) ON CONFLICT (plan_id) DO NOTHING`,
		text(planID), stamp(j.now()))
	if err == nil && n == 0 {
		err = j.fail("use a plan", ErrUsed)
	}
	return err
}
