package sync

import "slices"

// HoldCode says why something is held.
type HoldCode string

// The hold codes.
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
	// HeldDuplicateMark: several folders carry the same mark, for example because
	// somebody copied one. Nothing tells which folder is the real one.
	HeldDuplicateMark HoldCode = "duplicate-mark"
	// HeldCycle: the folder would have to move into a folder inside itself.
	HeldCycle HoldCode = "cycle"
	// HeldGuardLayout: the settings that lay the tree out have changed. A person
	// must approve the plan of the migration.
	HeldGuardLayout HoldCode = "guard-layout"
	// HeldSettling: the new place has not been wanted for long enough.
	HeldSettling HoldCode = "settling"
)

// traits are the properties of a hold code.
type traits uint8

const (
	guard      traits = 1 << iota // a guard asks for approval; the run ends with its own exit code
	person                        // nothing changes until a person acts
	approvable                    // approving the plan can lift it
	passing                       // expected to clear, by approval or by itself: others wait for the place instead of taking another name
)

// holdTraits lists all hold codes, in the order of the documentation.
var holdTraits = []struct {
	code HoldCode
	traits
}{
	{HeldNoType, person},
	{HeldNoStatus, person},
	{HeldNoTerritory, person},
	{HeldNoMarket, person},
	{HeldNoParent, person},
	{HeldUnmanagedFolder, person},
	{HeldNameCollision, person},
	{HeldFolderMissing, person},
	{HeldForeignMark, person},
	{HeldGuardMoves, guard | person | approvable | passing},
	{HeldGuardRenames, guard | person | approvable | passing},
	{HeldGuardArchives, guard | person | approvable | passing},
	{HeldAccessWidens, person | approvable | passing},
	{HeldExcluded, 0},
	{HeldPaused, 0},
	{HeldFailedBefore, passing},
	{HeldDuplicateMark, person},
	{HeldCycle, person},
	{HeldGuardLayout, guard | person | approvable | passing},
	{HeldSettling, passing},
}

// HoldCodes returns all hold codes, in the order of the documentation.
func HoldCodes() []HoldCode {
	codes := make([]HoldCode, len(holdTraits))
	for i, h := range holdTraits {
		codes[i] = h.code
	}
	return codes
}

// is reports whether the code has a trait. An unknown code, from the plan of a
// later version, has none.
func (c HoldCode) is(t traits) bool {
	for _, h := range holdTraits {
		if h.code == c {
			return h.traits&t != 0
		}
	}
	return false
}

// ByGuard reports whether a guard holds it: a person must decide, and the run
// ends with an exit code of its own.
func (c HoldCode) ByGuard() bool { return c.is(guard) }

// NeedsPerson reports whether it stays held until a person acts. Excluded and
// paused folders do not count: a person wanted them held. Later runs retry what
// failed and make moves that have settled, without anybody's help.
func (c HoldCode) NeedsPerson() bool { return c.is(person) }

// Approvable reports whether approving a plan can lift such a hold.
// [Held.Approvable] says whether it lifts this one.
func (c HoldCode) Approvable() bool { return c.is(approvable) }

// passing reports whether the hold is expected to clear, by approval or by
// itself. Others then wait for the folder's place instead of taking another
// name.
func (c HoldCode) passing() bool { return c.is(passing) }

// Held is something that should happen but does not.
type Held struct {
	Code    HoldCode     `json:"code"`
	Key     Key          `json:"key"`
	Company *PlanCompany `json:"company,omitempty"`
	Path    string       `json:"path,omitempty"` // where the folder is, or where it should be
	Reason  string       `json:"reason"`
	// Approvable: an approval of the plan lifts this hold.
	Approvable bool `json:"-"`
}

// HeldByGuard reports whether a guard holds any part of the plan.
func (p Plan) HeldByGuard() bool {
	return slices.ContainsFunc(p.Held, func(h Held) bool { return h.Code.ByGuard() })
}
