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

// Plan says what must change in a vault, and what is held and why. It is for
// reading: it can be printed, compared, stored as JSON and read back. [Apply]
// needs the [Program] that it belongs to.
type Plan struct {
	Schema string `json:"schema"`
	// ID is the SHA-256 of the whole plan, before policies held parts of it, in
	// hex. Whole plans with the same id propose the same changes.
	ID       string     `json:"id"`
	Tenant   string     `json:"tenant"`
	Vault    string     `json:"vault"`
	Root     string     `json:"root"`
	Steps    []Step     `json:"steps"`
	Held     []Held     `json:"held"`
	Departed []Departed `json:"departed"`
	Counts   Counts     `json:"counts"`
}

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
	// Via is a temporary path that breaks a circle of names: the folder gets it
	// at once, and its final place when that is free.
	Via    string `json:"via,omitempty"`
	Reason string `json:"reason"`
	// Secrets is how many secrets are in the folder, if the vault can count them.
	// There may be more: the account may not see all. The plan's id leaves it out.
	Secrets *int          `json:"secrets,omitempty"`
	Access  *AccessChange `json:"access,omitempty"`
}

// PlanCompany names a company in a plan.
type PlanCompany struct {
	ID         int    `json:"id"`
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
}

func planCompany(c *Company) *PlanCompany { return &PlanCompany{c.ID, c.Identifier, c.Name} }

// AccessChange says how a move changes the audience of a folder: who can see it
// only afterwards, and who only before.
type AccessChange struct {
	Gains []string `json:"gains"`
	Loses []string `json:"loses"`
}

// Departed is a managed folder of a company that ConnectWise no longer lists, or
// that the settings leave out. It stays where it is.
type Departed struct {
	Key      Key    `json:"key"`
	FolderID string `json:"folderId"`
	Path     string `json:"path"`
	Reason   string `json:"reason"`
}

// Counts summarizes a plan. Unchanged counts the managed folders of groups and
// companies that are wanted and already right.
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

// count sets p.Counts except for Unchanged.
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

// Signed returns the plan with the id of its content. A part of a plan needs an id
// of its own.
func (p Plan) Signed() (Plan, error) {
	err := p.sign()
	return p, err
}

// sign sets the plan's id from its content. It leaves out the counts of secrets,
// which change although the plan does not.
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
