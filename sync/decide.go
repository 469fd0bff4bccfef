package sync

import (
	"fmt"
	"strings"
	"time"
)

// Audience returns, for each folder id, who can see the folders that inherit from
// that folder. The audience of a folder that it leaves out is unknown. It may ask
// the vault.
type Audience func(folders []string) (map[string][]string, error)

// Policy reads a whole plan and returns the steps that must wait, and why. It is
// pure.
type Policy func(whole Program) map[Key]Held

// Decide makes a plan and asks the policies. If they hold anything, it plans again
// with those steps held: a folder that stays keeps its place occupied, so others
// may have to stay too. The program keeps the whole plan and its id, which is
// what a person approves.
//
// If several policies hold a folder, the plan shows the first one's reason.
// [World.Hold] comes before all policies. Where audience is nil or says nothing,
// [Access] judges no moves.
func Decide(w Wanted, world World, audience Audience, policies ...Policy) (Program, error) {
	whole, err := MakePlan(w, world)
	if err != nil {
		return Program{}, err
	}
	var seen map[string][]string
	if audience != nil {
		if seen, err = audience(whole.audienceFolders()); err != nil {
			return Program{}, err
		}
	}
	if whole, err = whole.withAccess(seen); err != nil {
		return Program{}, err
	}
	hold := map[Key]Held{}
	for _, policy := range policies {
		addMissing(hold, policy(whole))
	}
	if len(hold) == 0 {
		return whole, nil
	}
	for key, h := range world.Hold { // rule 13: what the world holds beats every policy
		hold[key] = h
	}
	world.Hold = hold
	rest, err := MakePlan(w, world)
	if err != nil {
		return Program{}, err
	}
	if rest, err = rest.withAccess(seen); err != nil {
		return Program{}, err
	}
	rest.ID, rest.Whole = whole.ID, whole.Plan // rule 13: the rest has the id of the whole
	return rest, nil
}

// addMissing adds to hold what it does not have yet.
func addMissing(hold, more map[Key]Held) {
	for key, h := range more {
		if _, already := hold[key]; !already { // rule 13: the first policy's reason is shown
			hold[key] = h
		}
	}
}

// approvedBy reports whether an approval is for this plan and no other.
func (p Plan) approvedBy(id string) bool { return id != "" && id == p.ID } // rule 13: exactly the approved plan; rule 13: no approval of nothing

// guardFloor is the number of changes of one kind that never need approval.
const guardFloor = 10

// Guards holds all moves, all renames or all archivings if there are more of them
// than [Settings.Limits] allow, unless that plan is approved.
func Guards(settings Settings, approved string) Policy {
	limits := settings.Limits
	return func(p Program) map[Key]Held {
		hold := map[Key]Held{}
		if p.approvedBy(approved) {
			return hold
		}
		for _, guard := range []struct {
			op    Op
			limit Limit
			code  HoldCode
			done  string
		}{
			{OpMove, limits.Moves, HeldGuardMoves, "moved"},
			{OpRename, limits.Renames, HeldGuardRenames, "renamed"},
			{OpArchive, limits.Archives, HeldGuardArchives, "archived"},
		} {
			var keys []Key
			for _, s := range p.Steps {
				if s.Op == guard.op { // rule 13: each kind by itself
					keys = append(keys, s.Key)
				}
			}
			if len(keys) <= guardFloor || !guard.limit.exceededBy(len(keys), p.managed) { // rule 13: only above ten
				continue
			}
			for _, k := range keys {
				hold[k] = Held{Code: guard.code, Key: k, Approvable: true, Reason: fmt.Sprintf(
					"%d of %d folders would be %s, more than the limit of %s", len(keys), p.managed, guard.done, guard.limit)}
			}
		}
		return hold
	}
}

// Access holds moves that change access. If [Settings.Access] is [AccessHold], it
// holds the moves that give somebody new access, unless that plan is approved. In
// a vault with [World.Encrypted] it holds every move that changes who can read a
// folder, approved or not, unless the setting is [AccessPreserve]: an approval
// cannot encrypt.
func Access(settings Settings, approved string) Policy {
	mode := settings.Access
	return func(p Program) map[Key]Held {
		hold := map[Key]Held{}
		for _, s := range p.Steps {
			switch {
			case s.Access == nil:
			case p.encrypted && mode != AccessPreserve: // rule 12: no approval encrypts
				hold[s.Key] = Held{Code: HeldAccessWidens, Key: s.Key, Reason: fmt.Sprintf(
					"the move to %s would cross into another audience, and only key holders can encrypt for it", s.To)}
			case mode == AccessHold && len(s.Access.Gains) > 0 && !p.approvedBy(approved): // rule 12: moves that widen access wait
				hold[s.Key] = Held{Code: HeldAccessWidens, Key: s.Key, Approvable: true, Reason: fmt.Sprintf(
					"the move to %s would give access to %s", s.To, strings.Join(s.Access.Gains, ", "))}
			}
		}
		return hold
	}
}

// Layout holds every step if the settings that lay the tree out have changed
// since the last run, unless that plan is approved. It should come before other
// policies, so that its reason is the one shown.
func Layout(changed bool, approved string) Policy {
	return func(p Program) map[Key]Held {
		hold := map[Key]Held{}
		if !changed || p.approvedBy(approved) { // rule 13: a changed layout waits for approval
			return hold
		}
		steps := fmt.Sprintf("%d steps", len(p.Steps))
		if len(p.Steps) == 1 {
			steps = "1 step"
		}
		for _, s := range p.Steps {
			hold[s.Key] = Held{Code: HeldGuardLayout, Key: s.Key, Approvable: true, Reason: fmt.Sprintf(
				"the settings for structure, names or filters have changed since the last run; the migration takes %s", steps)}
		}
		return hold
	}
}

// Since says since when ConnectWise has wanted a company's folder at a place.
type Since struct {
	To   string // the full path
	Time time.Time
}

// Settle holds moves of companies until ConnectWise has wanted the new place
// for dwell, unless that plan is approved. since is what earlier runs wanted;
// zero dwell holds nothing.
func Settle(dwell time.Duration, since map[Key]Since, now time.Time, approved string) Policy {
	return func(p Program) map[Key]Held {
		hold := map[Key]Held{}
		if dwell == 0 || p.approvedBy(approved) {
			return hold
		}
		for _, s := range p.CompanyMoves() {
			began := now
			if w, ok := since[s.Key]; ok && w.To == s.To {
				began = w.Time
			}
			if now.Sub(began) < dwell { // rule 13: a move settles first
				hold[s.Key] = Held{Code: HeldSettling, Key: s.Key, Reason: fmt.Sprintf(
					"%s; the move waits until ConnectWise has wanted it for %s", s.Reason, dwell)}
			}
		}
		return hold
	}
}

// CompanyMoves returns the plan's moves of company folders, the ones that
// [Settle] may hold. A journal remembers since when each has been wanted.
func (p Plan) CompanyMoves() []Step {
	var moves []Step
	for _, s := range p.Steps {
		if s.Op == OpMove && s.Kind == KindCompany {
			moves = append(moves, s)
		}
	}
	return moves
}
