package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cwvault/sync"
)

// reason is one line of why things are as they are.
type reason struct {
	Label string
	Text  string
	At    time.Time // zero: not of one moment
	Link  string    // part of the page that says more
}

// glance is what a person must see first.
type glance struct {
	Class   string // ok, warn, bad or none
	Title   string
	Since   time.Time // zero where the title needs none
	Reasons []reason
}

// glanceOf says whether vault and ConnectWise are in step, and if not, why.
func glanceOf(s State) glance {
	stale := !s.LastGood.IsZero() && isStale(s)
	pending, blocked, failed := 0, 0, 0
	if s.Look != nil {
		pending, blocked, failed = len(s.Look.Pending.Steps), len(s.Look.Blocked), len(s.Look.Failed)
	}
	since := s.NotInStep
	if since.IsZero() && pending > 0 {
		since = s.Look.At
	}
	var g glance
	switch {
	case !since.IsZero():
		g = glance{Class: "bad", Title: "Not in step", Since: since}
		if s.LastError == "" && failed == 0 && !stale {
			g.Class = "warn" // it only waits, for a person or for the next run
		}
	case stale:
		g = glance{Class: "bad", Title: "Out of date", Since: s.Stale}
	case s.LastGood.IsZero() && s.LastError != "":
		g = glance{Class: "bad", Title: "No run has gone well yet"}
	case s.LastGood.IsZero():
		g = glance{Class: "none", Title: "Nothing is known yet"}
	default:
		g = glance{Class: "ok", Title: "In step"}
	}
	add := func(r reason) { g.Reasons = append(g.Reasons, r) }
	if s.LastError != "" {
		r := reason{Label: "Last run", Text: s.LastError}
		if s.LastRun > 0 {
			r.Link = fmt.Sprintf("/runs/%d", s.LastRun)
		}
		add(r)
	}
	if failed > 0 {
		add(reason{Label: "Failed", Text: plural(failed, "step") + " did not work", Link: "#plan"})
	}
	if blocked > 0 {
		add(reason{Label: "Guard", Text: plural(blocked, "step") + " held until a person approves the plan", Link: "#held"})
	}
	if n := pending - blocked - failed; n > 0 {
		add(reason{Label: "Pending", Text: plural(n, "step") + " still to be made", Link: "#plan"})
	}
	if s.Lease != "" {
		add(reason{Label: "Lease", Text: "the last run could not have it: " + s.Lease})
	}
	for _, server := range []struct {
		name string
		Reach
	}{{"ConnectWise", s.ConnectWise}, {"Vault", s.VaultServer}} {
		if server.Error != "" {
			add(reason{Label: server.name, Text: "not reached: " + server.Error, At: server.At})
		}
	}
	if stale {
		add(reason{Label: "Stale", Text: "the last run that went well is more than three intervals ago", At: s.LastGood})
	}
	if g.Class == "ok" && len(g.Reasons) > 0 {
		g.Class = "warn"
	}
	if g.Class == "none" {
		text := "The first run will tell."
		if !s.LastAttempt.IsZero() {
			text = "No run of this service has ended yet."
		}
		add(reason{Text: text})
	}
	return g
}

// heldItems is how many of the held things of one code the page shows.
const heldItems = 10

// heldItem is one thing that is held.
type heldItem struct {
	Company int // 0 for a group folder
	Name    string
	Path    string
	Reason  string
}

// heldGroup is what is held for one and the same reason.
type heldGroup struct {
	Code   sync.HoldCode
	Title  string
	Advice string // what a person should do
	Urgent bool   // nothing goes on until a person decides
	N      int
	Reason string // of all of them, if it is the same
	Items  []heldItem
	More   int
}

// holdText is what there is to say about a hold code.
type holdText struct {
	code          sync.HoldCode
	title, advice string
}

// holdTexts are in the order of the page: first where everything waits for a
// person, last what goes away by itself.
var holdTexts = []holdText{
	{code: sync.HeldGuardLayout, title: "The layout has changed",
		advice: "Look at the plan as a whole. If the new structure, names or filters are meant, approve it; otherwise take the settings back."},
	{code: sync.HeldGuardMoves, title: "Too many moves at once",
		advice: "Look whether someone changed many types or statuses in ConnectWise by mistake. If the plan is right, approve it; if not, correct ConnectWise."},
	{code: sync.HeldGuardRenames, title: "Too many renames at once",
		advice: "Look whether someone changed many names in ConnectWise by mistake. If the plan is right, approve it; if not, correct ConnectWise."},
	{code: sync.HeldGuardArchives, title: "Too many departures at once",
		advice: "Look whether ConnectWise still shows all companies to the API member. If they have really left, approve the plan."},
	{code: sync.HeldAccessWidens, title: "A move would change who can see the folder",
		advice: "Look who would gain access. If that is right, approve the plan, or keep the present permissions with CWVAULT_ACCESS=preserve."},
	{code: sync.HeldFolderMissing, title: "The folder has disappeared",
		advice: "Find out who deleted it or took its permissions away. Restore it, or let it be made again, empty, with cwvault resync --recreate."},
	{code: sync.HeldDuplicateMark, title: "Several folders claim to be the same one",
		advice: "Somebody copied a folder together with its mark. Remove the mark from the copies."},
	{code: sync.HeldForeignMark, title: "The folder belongs to another installation",
		advice: "Find out which one. Two installations need different roots; a mark that cannot be read must be removed by hand."},
	{code: sync.HeldUnmanagedFolder, title: "A folder of that name exists already",
		advice: "If it is the company's folder, adopt it with CWVAULT_ADOPT=path; otherwise rename it or move it away."},
	{code: sync.HeldNameCollision, title: "No free name",
		advice: "Rename the company in ConnectWise, or the folder that takes its place."},
	{code: sync.HeldCycle, title: "The folder would move into itself",
		advice: "Somebody moved folders into each other by hand. Move the outer one back in the vault."},
	{code: sync.HeldNoType, title: "No type",
		advice: "Give the company a type in ConnectWise, or name a group for such companies with CWVAULT_MISSING."},
	{code: sync.HeldNoStatus, title: "No status",
		advice: "Give the company a status in ConnectWise, or name a group for such companies with CWVAULT_MISSING."},
	{code: sync.HeldNoTerritory, title: "No territory",
		advice: "Give the company a territory in ConnectWise, or name a group for such companies with CWVAULT_MISSING."},
	{code: sync.HeldNoMarket, title: "No market",
		advice: "Give the company a market in ConnectWise, or name a group for such companies with CWVAULT_MISSING."},
	{code: sync.HeldNoParent, title: "No parent company",
		advice: "Give the company a parent in ConnectWise, or name a group for such companies with CWVAULT_MISSING."},
	{code: sync.HeldPaused, title: "Paused by a person",
		advice: "Nothing, until the reason is gone; then cwvault unpause."},
	{code: sync.HeldFailedBefore, title: "Failed before, tried again later",
		advice: "Read the error. If it is a matter of permissions or names, correct it; the next try comes by itself."},
	{code: sync.HeldSettling, title: "Waiting for the change to stand",
		advice: "Nothing; the folder moves when CWVAULT_SETTLE has passed."},
	{code: sync.HeldExcluded, title: "Excluded by the settings",
		advice: "Nothing, if CWVAULT_EXCLUDE is as meant."},
}

// heldGroups gathers what is held by its code.
func heldGroups(held []sync.Held, items int) []heldGroup {
	byCode := map[sync.HoldCode]*heldGroup{}
	for _, h := range held {
		g := byCode[h.Code]
		if g == nil {
			g = &heldGroup{Code: h.Code, Title: string(h.Code), Advice: "Read the reason.", Urgent: h.Code.ByGuard(), Reason: h.Reason}
			if i := holdRank(h.Code); i < len(holdTexts) {
				g.Title, g.Advice = holdTexts[i].title, holdTexts[i].advice
			}
			byCode[h.Code] = g
		}
		g.N++
		if h.Reason != g.Reason {
			g.Reason = ""
		}
		if len(g.Items) == items {
			g.More++
			continue
		}
		g.Items = append(g.Items, heldItemOf(h))
	}
	var list []heldGroup
	for _, g := range byCode {
		if g.Reason != "" && g.N > 1 {
			for i := range g.Items {
				g.Items[i].Reason = ""
			}
		} else {
			g.Reason = ""
		}
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b heldGroup) int {
		return cmp.Or(cmp.Compare(holdRank(a.Code), holdRank(b.Code)), cmp.Compare(a.Code, b.Code))
	})
	return list
}

func holdRank(code sync.HoldCode) int {
	if i := slices.IndexFunc(holdTexts, func(t holdText) bool { return t.code == code }); i >= 0 {
		return i
	}
	return len(holdTexts)
}

func heldItemOf(h sync.Held) heldItem {
	item := heldItem{Name: string(h.Key), Path: h.Path, Reason: h.Reason}
	item.Company, _ = h.Key.CompanyID()
	if h.Company != nil {
		item.Name = h.Company.Name
	}
	return item
}
