package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/report"
)

// reason is one line that explains the state.
type reason struct {
	Label string
	Text  string
	At    time.Time // when; zero: at no particular time
	Link  string    // to the part of the page that has details
}

// glance is the state that a person should see first.
type glance struct {
	Class   string // ok, warn, bad or none
	Title   string
	Since   time.Time // zero: not shown
	Reasons []reason
}

// glanceOf says whether vault and ConnectWise are in step, and if not, why not.
func glanceOf(s State) glance {
	stale := !s.LastGood.IsZero() && isStale(s)
	since := s.NotInStep
	if since.IsZero() && s.Look != nil && len(s.Look.Pending.Steps) > 0 {
		since = s.Look.At
	}
	g := glance{Reasons: reasonsOf(s, stale)}
	switch {
	case !since.IsZero():
		g.Class, g.Title, g.Since = "bad", "Not in step", since
		if s.LastError == "" && !stale && (s.Look == nil || len(s.Look.Failed) == 0) {
			g.Class = "warn" // nothing failed; a person or the next run must act
		}
	case stale:
		g.Class, g.Title, g.Since = "bad", "Out of date", s.Stale
	case s.LastGood.IsZero() && s.LastError != "":
		g.Class, g.Title = "bad", "No run has succeeded yet"
	case s.LastGood.IsZero():
		g.Class, g.Title = "none", "Nothing is known yet"
		r := reason{Text: "The first run has not started yet."}
		if !s.LastAttempt.IsZero() {
			r.Text = "The first run of this service has not finished yet."
		}
		g.Reasons = append(g.Reasons, r)
	default:
		g.Class, g.Title = "ok", "In step"
		if len(g.Reasons) > 0 {
			g.Class = "warn"
		}
	}
	return g
}

// reasonsOf lists what is wrong.
func reasonsOf(s State, stale bool) (list []reason) {
	add := func(r reason) { list = append(list, r) }
	if s.LastError != "" {
		r := reason{Label: "Last run", Text: s.LastError}
		if s.LastRun > 0 {
			r.Link = fmt.Sprintf("/runs/%d", s.LastRun)
		}
		add(r)
	}
	if s.Look != nil {
		list = append(list, pendingReasons(s.Look)...)
	}
	if s.Lease != "" {
		add(reason{Label: "Lease", Text: "the last run could not take the lease: " + s.Lease})
	}
	for _, server := range []struct {
		name string
		Reach
	}{{"ConnectWise", s.ConnectWise}, {"Vault", s.VaultServer}} {
		if server.Error != "" {
			add(reason{Label: server.name, Text: "the last request failed: " + server.Error, At: server.At})
		}
	}
	if stale {
		add(reason{Label: "Stale", Text: "the last good run is more than three intervals of the schedule old", At: s.LastGood})
	}
	return list
}

// pendingReasons says why steps are pending.
func pendingReasons(look *Look) (list []reason) {
	blocked, failed := len(look.Blocked), len(look.Failed)
	if failed > 0 {
		list = append(list, reason{Label: "Failed", Text: report.Count(failed, "step") + " failed", Link: "#plan"})
	}
	if blocked > 0 {
		r := reason{Label: "Held", Text: report.Count(blocked, "step") + " held", Link: "#held"}
		if slices.ContainsFunc(look.Pending.Held, approvable) {
			r.Label, r.Text = "Approval", report.Count(blocked, "step")+" waiting for a person to approve the plan"
		}
		list = append(list, r)
	}
	if n := len(look.Pending.Steps) - blocked - failed; n > 0 {
		list = append(list, reason{Label: "Pending", Text: report.Count(n, "step") + " not made yet", Link: "#plan"})
	}
	return list
}

// heldItems is how many held things of one code the page shows.
const heldItems = 10

// heldItem is one thing that is held.
type heldItem struct {
	Company int // 0 for a group folder
	Name    string
	Path    string
	Reason  string
}

// heldGroup is what is held by one code.
type heldGroup struct {
	Code       sync.HoldCode
	Title      string
	Means      string
	Fix        string // how a person fixes it
	Approvable bool   // approving the plan lifts some of these holds; false for a run from the journal, which does not say
	Urgent     bool   // a guard or an approval: a person must decide
	N          int
	Reason     string // of all of them, if they share one
	Items      []heldItem
	More       int
}

// heldGroups groups what a plan holds by code, with at most items of each.
func heldGroups(held []sync.Held, plan string, items int) []heldGroup {
	var list []heldGroup
	at := map[sync.HoldCode]int{}
	for i, hold := range report.HoldsOf(held) {
		at[hold.Code] = i
		first := slices.IndexFunc(held, func(h sync.Held) bool { return h.Code == hold.Code })
		list = append(list, heldGroup{Code: hold.Code, Title: capital(hold.Title), Means: hold.Means,
			Fix: hold.FixFor(plan, held[first]), Reason: held[first].Reason, Urgent: hold.Code.ByGuard()})
	}
	for _, h := range held {
		list[at[h.Code]].add(h, items)
	}
	for i := range list {
		g := &list[i]
		if g.Reason == "" || g.N == 1 {
			g.Reason = "" // each item has its own
			continue
		}
		for j := range g.Items {
			g.Items[j].Reason = ""
		}
	}
	return list
}

func (g *heldGroup) add(h sync.Held, items int) {
	g.N++
	g.Approvable = g.Approvable || h.Approvable
	g.Urgent = g.Urgent || h.Approvable
	if h.Reason != g.Reason {
		g.Reason = ""
	}
	if len(g.Items) == items {
		g.More++
		return
	}
	item := heldItem{Name: string(h.Key), Path: h.Path, Reason: h.Reason}
	item.Company, _ = h.Key.CompanyID()
	if h.Company != nil {
		item.Name = h.Company.Name
	}
	g.Items = append(g.Items, item)
}

// capital capitalizes a heading.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// approvable reports whether approving the plan lifts the hold.
func approvable(h sync.Held) bool { return h.Approvable }
