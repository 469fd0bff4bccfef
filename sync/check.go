package sync

import (
	"fmt"
	"strings"
)

// LastGood is what the journal remembers of the last run that went well.
type LastGood struct {
	Companies int // how many ConnectWise listed, before any filter
}

// SourceError says that what was read from ConnectWise must not be acted upon.
type SourceError struct{ Problem string }

func (e *SourceError) Error() string { return "companies not to be trusted: " + e.Problem }

// Unwrap makes it an [ErrIncomplete].
func (e *SourceError) Unwrap() error { return ErrIncomplete }

// CheckSource is the guard before everything else: it refuses companies that
// cannot be the whole truth. last is nil when no run went well before. The
// error is a [*SourceError].
func CheckSource(src Source, last *LastGood, maxDrop Limit) error {
	n := len(src.Companies)
	if n == 0 {
		return &SourceError{"ConnectWise lists no companies; check the role and location of the API member"}
	}
	seen := make(map[int]bool, n)
	for _, c := range src.Companies {
		if c.ID <= 0 {
			return &SourceError{fmt.Sprintf("a company has the id %d", c.ID)}
		}
		if seen[c.ID] {
			return &SourceError{fmt.Sprintf("company %d is listed twice", c.ID)}
		}
		seen[c.ID] = true
	}
	if src.Count != n {
		return &SourceError{fmt.Sprintf("ConnectWise lists %d companies and counts %d", n, src.Count)}
	}
	if last != nil && maxDrop.exceededBy(last.Companies-n, last.Companies) {
		return &SourceError{fmt.Sprintf("%d companies, %d in the last good run, and CWVAULT_MAX_SOURCE_DROP is %s; check the role of the API member, or allow the drop for one run with CWVAULT_MAX_SOURCE_DROP=off",
			n, last.Companies, maxDrop)}
	}
	return nil
}

// guardFloor is the number of folders of one kind up to which no change guard
// asks.
const guardFloor = 10

// Check is the guard before the first write: it returns the steps of plan that
// are not to be made unasked, because they are too many of their kind or change
// who can see a folder. They belong into [World.Hold] of a second plan, whose
// id is set to the first one's with [Plan.WithID]. A plan whose id is approved
// passes whole, but for what [AccessHoldAny] holds: no approval encrypts.
func Check(plan Plan, settings Settings, approved string) map[Key]Held {
	passes := approved != "" && approved == plan.ID
	limits := settings.Limits
	if passes {
		limits = Limits{}
	}
	hold := map[Key]Held{}
	for _, s := range plan.Steps {
		if s.Access == nil {
			continue
		}
		h := Held{Code: HeldAccessWidens, Key: s.Key}
		switch {
		case settings.Access == AccessHold && len(s.Access.Gains) > 0 && !passes:
			h.Reason = fmt.Sprintf("the move to %s would give access to %s; to let this plan through: cwvault resync --approve %s",
				s.To, strings.Join(s.Access.Gains, ", "), plan.ID)
		case settings.Access == AccessHoldAny:
			h.Reason = fmt.Sprintf("the move to %s would cross into another audience, and only key holders can encrypt for it; "+
				"to keep the present one with the folder: CWVAULT_ACCESS=preserve", s.To)
		default:
			continue
		}
		hold[s.Key] = h
	}
	for _, guard := range []struct {
		op    Op
		limit Limit
		code  HoldCode
		name  string
	}{
		{OpMove, limits.Moves, HeldGuardMoves, "CWVAULT_MAX_MOVES"},
		{OpRename, limits.Renames, HeldGuardRenames, "CWVAULT_MAX_RENAMES"},
		{OpArchive, limits.Archives, HeldGuardArchives, "CWVAULT_MAX_ARCHIVES"},
	} {
		var keys []Key
		for _, s := range plan.Steps {
			if s.Op == guard.op {
				keys = append(keys, s.Key)
			}
		}
		if len(keys) <= guardFloor || !guard.limit.exceededBy(len(keys), plan.managed) {
			continue
		}
		for _, k := range keys {
			hold[k] = Held{Code: guard.code, Key: k, Reason: fmt.Sprintf(
				"%d folders of %d would %s, more than %s=%s allows; to let this plan through: cwvault resync --approve %s",
				len(keys), plan.managed, guard.op, guard.name, guard.limit, plan.ID)}
		}
	}
	return hold
}
