package sync

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// PlanSchema names the JSON form of a [Plan].
const PlanSchema = "cwvault.plan/1"

// Plan says what must change in a vault, and what must not though it might
// seem so. It is a value: nothing but [Apply] acts on it.
type Plan struct {
	Schema string `json:"schema"`
	// ID is the SHA-256 of the plan as it was before guards held parts of it,
	// in hex. Plans with the same id propose the same changes.
	ID       string     `json:"id"`
	Tenant   string     `json:"tenant"`
	Vault    string     `json:"vault"`
	Root     string     `json:"root"`
	Steps    []Step     `json:"steps"`
	Held     []Held     `json:"held"`
	Departed []Departed `json:"departed"`
	Counts   Counts     `json:"counts"`

	managed int // company folders that exist now; what percentages are of
	learned []KnownPlace
}

// KnownPlace is the place of a managed folder.
type KnownPlace struct {
	Key      Key
	FolderID string
	Place    Place
}

// Learned returns the places of folders that are where they should be, as far as
// [World.Known] did not have them so, by key. A journal remembers them.
func (p Plan) Learned() []KnownPlace { return p.learned }

// Managed is the number of company folders that existed before the plan.
func (p Plan) Managed() int { return p.managed }

// Op is what a step does.
type Op string

// The operations. A change of parent is OpMove even when the name changes too.
const (
	OpCreate  Op = "create"
	OpAdopt   Op = "adopt" // mark an existing folder; nothing else changes
	OpRename  Op = "rename"
	OpMove    Op = "move"
	OpArchive Op = "archive" // move a departed company to the archive folder
)

// Kind tells company folders from group folders.
type Kind string

// The kinds of managed folders.
const (
	KindGroup   Kind = "group"
	KindCompany Kind = "company"
)

// Step is one change of one folder.
type Step struct {
	Op       Op           `json:"op"`
	Kind     Kind         `json:"kind"`
	Key      Key          `json:"key"`
	Company  *PlanCompany `json:"company,omitempty"`
	FolderID string       `json:"folderId,omitempty"` // empty for a folder to be created
	From     string       `json:"from,omitempty"`     // full path before the plan
	To       string       `json:"to"`                 // full path after the whole plan
	// Via is the temporary path that breaks a cycle of names: the folder is
	// renamed to it at once and gets its final place when that is free.
	Via    string `json:"via,omitempty"`
	Reason string `json:"reason"`
	// Secrets is how many secrets go along, where the vault can tell. It is at
	// least that many: the account may not see all. Not part of the plan's id.
	Secrets *int    `json:"secrets,omitempty"`
	Access  *Access `json:"access,omitempty"`

	name       string // last element of To
	viaName    string // last element of Via
	parentKey  Key    // of the folder that holds To
	parentID   string // its id; empty when a step of this plan makes it
	fromParent string // id of the parent before
	fromName   string
	inherited  string // id of the folder whose audience it has; empty: one that cannot be seen
	inherits   string // id of the folder whose present audience the folder gets; empty: it keeps its own
	above      Key    // of the nearest step among the folders above; it comes first
	mark       bool   // the folder has no mark yet and gets it first
	takesFrom  []Key  // folders whose places this step needs vacated
}

// Place returns where the step's folder will be, for a journal.
func (s Step) Place() Place { return Place{Parent: s.parentKey, Name: s.name} }

// PlanCompany names a company in a plan.
type PlanCompany struct {
	ID         int    `json:"id"`
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
}

func planCompany(c *Company) *PlanCompany { return &PlanCompany{c.ID, c.Identifier, c.Name} }

// Access is the change of audience that a move brings: who can see the folder
// afterwards but not before, and the other way round.
type Access struct {
	Gains []string `json:"gains"`
	Loses []string `json:"loses"`
}

// HoldCode says why something is held.
type HoldCode string

// The hold codes. DESIGN names them; those from HeldDuplicateMark on are added
// because nothing there fits.
const (
	HeldNoType          HoldCode = "no-type"
	HeldNoStatus        HoldCode = "no-status"
	HeldNoTerritory     HoldCode = "no-territory"
	HeldNoMarket        HoldCode = "no-market"
	HeldNoParent        HoldCode = "no-parent"
	HeldUnmanagedFolder HoldCode = "unmanaged-folder"
	HeldNameCollision   HoldCode = "name-collision"
	HeldFolderMissing   HoldCode = "folder-missing"
	HeldForeignMark     HoldCode = "foreign-mark"
	HeldGuardMoves      HoldCode = "guard-moves"
	HeldGuardRenames    HoldCode = "guard-renames"
	HeldGuardArchives   HoldCode = "guard-archives"
	HeldAccessWidens    HoldCode = "access-widens"
	HeldExcluded        HoldCode = "excluded"
	HeldPaused          HoldCode = "paused"
	HeldFailedBefore    HoldCode = "failed-before"
	// HeldDuplicateMark: several folders carry the same mark, for example
	// because somebody copied one, and nothing tells which is the real one.
	HeldDuplicateMark HoldCode = "duplicate-mark"
	// HeldCycle: the folder would have to move into a folder inside itself.
	HeldCycle HoldCode = "cycle"
	// HeldGuardLayout: the settings that lay the tree out have changed, and
	// such a migration is made only when a person approves its plan.
	HeldGuardLayout HoldCode = "guard-layout"
	// HeldSettling: the new place has not been wanted for long enough.
	HeldSettling HoldCode = "settling"
)

// ByGuard reports whether the code comes from a guard, so that a person has to
// decide and the run ends with its own exit code.
func (c HoldCode) ByGuard() bool {
	switch c {
	case HeldGuardMoves, HeldGuardRenames, HeldGuardArchives, HeldGuardLayout:
		return true
	}
	return false
}

// passing reports whether the hold is only for this run, as far as anybody can
// tell, so that others rather wait for the folder's place than take another.
func (c HoldCode) passing() bool {
	return c.ByGuard() || c == HeldAccessWidens || c == HeldFailedBefore || c == HeldSettling
}

// Held is something that should happen but does not.
type Held struct {
	Code    HoldCode     `json:"code"`
	Key     Key          `json:"key"`
	Company *PlanCompany `json:"company,omitempty"`
	Path    string       `json:"path,omitempty"` // where the folder is, or where it should be
	Reason  string       `json:"reason"`
}

// Departed is a managed company folder whose company is gone from the list of
// companies that cwvault keeps. It stays where it is.
type Departed struct {
	Key      Key    `json:"key"`
	FolderID string `json:"folderId"`
	Path     string `json:"path"`
	Reason   string `json:"reason"`
}

// Counts sums a plan up. Unchanged counts the managed folders, of groups and
// companies, that are wanted and already right.
type Counts struct {
	Create    int `json:"create"`
	Adopt     int `json:"adopt"`
	Rename    int `json:"rename"`
	Move      int `json:"move"`
	Archive   int `json:"archive"`
	Held      int `json:"held"`
	Departed  int `json:"departed"`
	Unchanged int `json:"unchanged"`
}

// count fills in p.Counts but for Unchanged.
func (p *Plan) count() {
	p.Counts = Counts{Held: len(p.Held), Departed: len(p.Departed), Unchanged: p.Counts.Unchanged}
	for _, s := range p.Steps {
		switch s.Op {
		case OpCreate:
			p.Counts.Create++
		case OpAdopt:
			p.Counts.Adopt++
		case OpRename:
			p.Counts.Rename++
		case OpMove:
			p.Counts.Move++
		case OpArchive:
			p.Counts.Archive++
		}
	}
}

// Empty reports whether there is nothing to apply.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// HeldByGuard reports whether a guard holds any part of the plan.
func (p Plan) HeldByGuard() bool {
	for _, h := range p.Held {
		if h.Code.ByGuard() {
			return true
		}
	}
	return false
}

// JSON returns the plan in its JSON form, indented, with a newline at the end.
func (p Plan) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b.Bytes(), nil
}

// Signed returns the plan with the id that its content gives it. A part of a plan
// needs an id of its own.
func (p Plan) Signed() (Plan, error) {
	err := p.sign()
	return p, err
}

// sign sets the plan's id from its content. Counts of secrets do not enter:
// they change without the plan changing.
func (p *Plan) sign() error {
	q := *p
	q.ID = ""
	q.Steps = make([]Step, len(p.Steps))
	for i, s := range p.Steps {
		s.Secrets = nil
		q.Steps[i] = s
	}
	b, err := q.JSON()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	p.ID = hex.EncodeToString(sum[:])
	return nil
}
