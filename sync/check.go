package sync

import (
	"fmt"
)

// LastGood is what the journal remembers of the last run that went well.
type LastGood struct {
	Companies int // how many ConnectWise listed, before any filter
}

// SourceError says why a run must not act on a list of companies.
type SourceError struct {
	Problem string
	Dropped bool // far fewer companies than in the last good run
}

func (e *SourceError) Error() string { return "cannot trust the list of companies: " + e.Problem }

// Unwrap makes it an [ErrIncomplete].
func (e *SourceError) Unwrap() error { return ErrIncomplete }

// CheckSource is the first guard: it refuses a list of companies that cannot be
// complete. last is nil when no run went well before. The error is a
// [*SourceError].
func CheckSource(src Source, last *LastGood, maxDrop Limit) error {
	n := len(src.Companies)
	if n == 0 { // rule 13: no companies
		return &SourceError{Problem: "ConnectWise lists no companies; check the role and location of the API member"}
	}
	seen := make(map[int]bool, n)
	for _, c := range src.Companies {
		if c.ID <= 0 {
			return &SourceError{Problem: fmt.Sprintf("a company has the id %d", c.ID)}
		}
		if seen[c.ID] { // rule 13: ids repeated
			return &SourceError{Problem: fmt.Sprintf("company %d is listed twice", c.ID)}
		}
		seen[c.ID] = true
	}
	if src.Count != n { // rule 13: count disagrees
		return &SourceError{Problem: fmt.Sprintf("ConnectWise lists %d companies and counts %d", n, src.Count)}
	}
	if last != nil && maxDrop.exceededBy(last.Companies-n, last.Companies) { // rule 13: too many gone
		return &SourceError{Dropped: true, Problem: fmt.Sprintf("%d companies, %d in the last good run; the limit of the drop is %s",
			n, last.Companies, maxDrop)}
	}
	return nil
}
