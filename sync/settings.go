package sync

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Settings are the operator's decisions about the tree. Lists name records by
// their ConnectWise name or id.
type Settings struct {
	Structure Structure
	Name      NameTemplate

	// Types and Statuses select companies. An entry with a leading "!" excludes,
	// and exclusion wins. If there are entries without "!", a company must match
	// one of them. A type that is not selected never places a company.
	Types, Statuses []string
	// Exclude lists company identifiers or ids that are left out.
	Exclude []string
	// TypePriority lists the types that come first for companies with several.
	TypePriority []string
	// Missing is the name of the group folder for companies without a type,
	// status or other token. Empty means that they are held.
	Missing string

	Adopt   bool   // mark an unmanaged folder that is exactly where a folder should be
	Archive string // name of the archive folder; empty: departed companies stay
	// KeepDrift leaves folders where a person put them.
	KeepDrift bool
	Access    AccessMode
	Limits    Limits
}

// AccessMode says what happens to a folder's permissions when it moves.
type AccessMode string

const (
	// AccessInherit lets a folder that inherits take its new parent's audience.
	AccessInherit AccessMode = "inherit"
	// AccessPreserve keeps the audience that the folder has.
	AccessPreserve AccessMode = "preserve"
	// AccessHold holds moves that give somebody new access.
	AccessHold AccessMode = "hold"
)

// Limits say how many changes one run may make without approval, and how many
// companies may disappear.
type Limits struct {
	Moves, Renames, Archives Limit // of managed company folders, each kind on its own
	SourceDrop               Limit // of the companies of the last good run
}

// Limit is a percentage, a number, or off. The zero Limit is off.
type Limit struct {
	n       float64
	percent bool
	on      bool
}

// ParseLimit reads "20%", "15" or "off".
func ParseLimit(s string) (Limit, error) {
	if strings.EqualFold(strings.TrimSpace(s), "off") {
		return Limit{}, nil
	}
	digits, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	switch {
	case err != nil || math.IsNaN(n) || n < 0 || percent && n > 100 || !percent && n != math.Trunc(n) || n > 1e9:
		return Limit{}, Problem{Text: fmt.Sprintf("%q is not a limit", s), Fix: `use a percentage such as "20%", a number such as "15", or "off"`}
	}
	return Limit{n: n, percent: percent, on: true}, nil
}

// String returns the limit as ParseLimit reads it.
func (l Limit) String() string {
	if !l.on {
		return "off"
	}
	s := strconv.FormatFloat(l.n, 'f', -1, 64)
	if l.percent {
		s += "%"
	}
	return s
}

// exceededBy reports whether n of total is more than the limit.
func (l Limit) exceededBy(n, total int) bool {
	if !l.on {
		return false
	}
	if l.percent {
		return float64(n)*100 > l.n*float64(total) // rule 13: of the managed company folders
	}
	return float64(n) > l.n
}

// SettingsError says why the settings do not fit this ConnectWise, for example
// because they name a type that does not exist.
type SettingsError struct{ Problems []string }

func (e *SettingsError) Error() string { return strings.Join(e.Problems, "; ") }

// Unwrap makes it an [ErrConfigured].
func (e *SettingsError) Unwrap() error { return ErrConfigured }

// filter selects records by id.
type filter struct {
	include, exclude map[int]bool // nil include: all that are not excluded
}

func (f filter) allows(id int) bool { return !f.exclude[id] && (f.include == nil || f.include[id]) }

// find returns the ids of the records that an entry names.
func find(entry string, records []Ref, fold func(string) string) (ids []int) {
	for _, r := range records {
		if fold(r.Name) == fold(entry) || strconv.Itoa(r.ID) == entry {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// resolve turns names and ids into ids of records. what is "type" or "status".
func resolve(what string, entries []string, records []Ref, fold func(string) string) (ids []int, err error) {
	var unknown []string
	for _, e := range entries {
		found := find(e, records, fold)
		if found == nil {
			unknown = append(unknown, e)
		}
		ids = append(ids, found...)
	}
	return ids, unknownError(what, unknown, records)
}

func newFilter(what string, entries []string, records []Ref, fold func(string) string) (filter, error) {
	f := filter{exclude: map[int]bool{}}
	var unknown []string
	for _, e := range entries {
		name, not := strings.CutPrefix(e, "!")
		set := f.exclude
		if !not {
			if f.include == nil {
				f.include = map[int]bool{}
			}
			set = f.include
		}
		found := find(strings.TrimSpace(name), records, fold)
		if found == nil {
			unknown = append(unknown, strings.TrimSpace(name))
		}
		for _, id := range found {
			set[id] = true
		}
	}
	return f, unknownError(what, unknown, records)
}

func unknownError(what string, entries []string, records []Ref) error {
	if entries == nil {
		return nil
	}
	for i, e := range entries {
		entries[i] = strconv.Quote(e)
	}
	return fmt.Errorf("unknown %s %s; ConnectWise has %s", what, strings.Join(entries, ", "), refList(records))
}

// refList lists records by name for an error message, up to a limit.
func refList(records []Ref) string {
	const most = 30
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = fmt.Sprintf("%q (%d)", r.Name, r.ID)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}
