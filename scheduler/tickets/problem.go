package tickets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// Problem is something that a person should look at.
type Problem struct {
	Key    string // stable: the same problem has the same key in every run
	Title  string // what it is, in a few words that name no customer
	What   string // what happened
	Means  string // what that means; may be empty
	Reason string // why, in the words of cwvault or of a server: may be remote, of several lines, or empty
	Fix    string // what to do
	// Commands are the commands that help, in the order in which to use them.
	Commands []Command
	Items    []Item // what it affects, in order of the keys

	// Repeats is how many runs in a row must show the problem, with the same
	// Mark, before a ticket is raised. 0: at once.
	Repeats int
	Mark    string
}

// Command is a command line that helps with a problem.
type Command struct {
	Line string // "cwvault check"
	Does string // a verb and what follows: "tests every right"
}

// Item is one of the things that a problem affects: something that is held, or
// a step that failed or is made again and again.
type Item struct {
	Key    string // stable
	Name   string // whose folder it is; empty for a step that is no company's
	Op     sync.Op
	Path   string // where the folder is or should be
	Status sync.Status
	Text   string // a reason or an error; may be remote
}

// The keys of problems, besides those of held items: heldPrefix and a hold code.
const (
	keyUnauthorized = "run/unauthorized"
	keySource       = "run/source"
	keySettings     = "run/settings"
	keyFailed       = "run/failed"
	keySteps        = "steps"
	keyRepeat       = "repeat"
	keyStale        = "stale"

	heldPrefix = "held/"
)

// repeats is how many runs in a row must make the same steps before that is a
// problem.
const repeats = 3

// maxReason bounds the reason of a problem, in UTF-16 units.
const maxReason = 4000

// Problems returns what a person should look at after a run, in order of the
// keys. It returns none after a run that was stopped or lost its lease, or whose
// request was at fault: only whoever asked for it can do something about that.
func Problems(e run.Ending) []Problem {
	if e.Run == nil {
		return unbegun(e.Err, e.Text())
	}
	if e.Inconclusive() {
		return nil
	}
	held := map[sync.HoldCode][]sync.Held{}
	for _, h := range e.Run.Held {
		held[h.Code] = append(held[h.Code], h)
	}
	var list []Problem
	if p := stepsFail(e, held[sync.HeldFailedBefore]); len(p.Items) > 0 {
		list = append(list, p)
	}
	for code, these := range held {
		if h := report.HoldOf(code); h.NeedsPerson {
			list = append(list, holds(h, these, e.Run.ID))
		}
	}
	if e.Whole() && e.Run.Outcome == report.Done && len(e.Run.Steps) > 0 {
		list = append(list, repeat(e))
	}
	slices.SortFunc(list, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// settles reports whether a run proves that a problem which it did not find is
// gone.
func settles(e run.Ending, key string) bool {
	return e.Whole() && (key != keyStale || e.Run.Outcome == report.Done)
}

// Unopened returns the problem of a run that ended before its first step, or did
// not even begin.
func Unopened(err error) []Problem { return unbegun(err, err.Error()) }

// unbegun is the same with a reason that may say more than the error.
func unbegun(err error, reason string) []Problem {
	if errors.Is(err, context.Canceled) { // whatever else a reading that was cut off may look like
		return nil
	}
	p := Problem{What: "A run ended before its first step; nothing in the vault was changed."}
	server := serverName(err)
	switch run.CauseOf(err) {
	case run.CauseNone, run.CauseUsage, run.CauseStale, run.CauseLease, run.CauseStopped:
		return nil
	case run.CauseUnauthorized:
		p.Key, p.Title = keyUnauthorized, "runs fail: not authorised"
		if server != "" {
			p.Title += " by " + server
		}
		p.Fix = "Check whether the account or the API member was locked or changed, or lost a right."
		p.Commands = []Command{{"cwvault check", "tests every right"}}
	case run.CauseSource:
		p.Key, p.Title = keySource, "runs fail: the list of companies cannot be trusted"
		p.Fix = "Check in ConnectWise that all companies are there and that the API member can see them."
		p.Commands = []Command{{"cwvault check", "compares the companies with those of the last good run"}}
		if other := (*run.MismatchError)(nil); errors.As(err, &other) {
			p.Title, p.Fix = "runs fail: the journal is that of another installation", "Correct the settings named above."
			p.Commands = []Command{{"cwvault check", "compares the settings with those of the last good run"}}
		}
	case run.CauseSettings:
		p.Key, p.Title = keySettings, "runs fail: the settings are wrong"
		p.Fix = "Correct the settings named above."
		p.Commands = []Command{{"cwvault check", "lists everything that is wrong with the settings"}}
	default:
		p.Key, p.Title = keyFailed, "runs fail"
		if server != "" {
			p.Title += ": " + server + " does not answer correctly"
		}
		p.Fix = "If a server was unreachable, the next run may succeed by itself. Otherwise fix the reason given above."
		p.Commands = []Command{{"cwvault check", "tests both connections and the journal"}, {"cwvault history", "lists the runs"}}
	}
	p.Reason = cut(reason, maxReason)
	return []Problem{p}
}

// serverName names the server that an error is about; empty: unknown.
func serverName(err error) string {
	switch server, _ := run.ServerOf(err); server {
	case run.ConnectWise:
		return "ConnectWise"
	case run.VaultServer:
		return "the vault"
	}
	return ""
}

// stepsFail is the problem of steps that fail: those of this run, and those that
// wait for their retry because they failed before.
func stepsFail(e run.Ending, waiting []sync.Held) Problem {
	p := Problem{
		Key: keySteps, Title: "steps fail",
		What: "Some steps of a run failed, or were skipped because they depend on one that failed. All other steps were made.",
		Fix:  "Fix the errors listed above. cwvault retries each step by itself: in the next run, and then at growing intervals of up to a day.",
	}
	if e.Run.Outcome == report.Partial {
		for i, result := range e.Run.Results {
			if result.Status != sync.StatusDone {
				item := stepItem(e.Run.Steps[i])
				item.Status, item.Text = result.Status, result.Error
				p.Items = append(p.Items, item)
			}
		}
		if e.Run.Error != "" {
			p.Items = append(p.Items, Item{Key: "run", Name: "the end of the run", Text: e.Run.Error})
		}
	}
	for _, h := range waiting {
		p.Items = append(p.Items, heldItem(h))
	}
	return p.of(e.Number)
}

// holds is the problem of what is held with one code.
func holds(h report.Hold, list []sync.Held, plan string) Problem {
	p := Problem{
		Key: heldPrefix + string(h.Code), Title: h.Title, Means: h.Means, Fix: h.FixFor(plan, list[0]),
		What: "These changes are on hold until someone fixes the cause.",
	}
	if code := string(h.Code); !strings.Contains(p.Title, code) {
		p.Title += " (" + code + ")"
	}
	if slices.ContainsFunc(list, func(h sync.Held) bool { return h.Approvable }) {
		p.What = "These changes are on hold until someone approves them or fixes the cause."
		p.Commands = append(p.Commands, Command{"cwvault resync --approve " + plan, "approves the plan and applies it, as long as it stays the same"})
	}
	if h.Code.ByGuard() {
		p.Reason = list[0].Reason // the same for all
	}
	for _, h := range list {
		p.Items = append(p.Items, heldItem(h))
	}
	if i := slices.IndexFunc(list, func(h sync.Held) bool { return h.Company != nil }); i >= 0 {
		p.Commands = append(p.Commands, Command{fmt.Sprintf("cwvault explain %d", list[i].Company.ID), "explains one company"})
	}
	return p.sorted()
}

// repeat is the problem of a run whose steps are undone before the next. A
// single run does not show it: see [Problem.Repeats].
func repeat(e run.Ending) Problem {
	p := Problem{
		Key: keyRepeat, Repeats: repeats, Mark: e.Run.ID, Title: "every run makes the same changes again",
		What: fmt.Sprintf("%d runs in a row made the same steps without an error, and each time somebody or something undid them.", repeats),
		Fix:  "Find out from the vault's audit log who or what changes these folders: a person, another program, or the vault itself.",
	}
	for _, s := range e.Run.Steps {
		item := stepItem(s)
		item.Text = s.Reason
		p.Items = append(p.Items, item)
	}
	return p.of(e.Number)
}

// Stale returns the problem that no run of everything was good for too long.
// The last good run began at lastGood, which is zero if there was none.
func Stale(lastGood time.Time) Problem {
	p := Problem{
		Key: keyStale, Title: "no good run for too long",
		What:     "No run of everything has succeeded yet, for more than three intervals of the schedule.",
		Fix:      "Find out why the runs fail, and fix that.",
		Commands: []Command{{"cwvault history", "lists the runs with their errors"}, {"cwvault check", "tests everything that a run needs"}},
	}
	if !lastGood.IsZero() {
		p.What = fmt.Sprintf("The last good run of everything began %s, more than three intervals of the schedule ago.", report.Minute(lastGood))
		p.Means = "The vault may have been out of step with ConnectWise since then."
	}
	return p
}

func stepItem(s sync.Step) Item {
	item := Item{Key: string(s.Key), Op: s.Op, Path: s.To}
	if s.Company != nil {
		item.Name = companyName(*s.Company)
	}
	return item
}

func heldItem(h sync.Held) Item {
	item := Item{Key: string(h.Key), Name: string(h.Key), Path: h.Path}
	if h.Company != nil {
		item.Name = companyName(*h.Company)
	}
	if !h.Code.ByGuard() { // whose reason is that of the whole problem
		item.Text = h.Reason
	}
	return item
}

func companyName(c sync.PlanCompany) string { return fmt.Sprintf(`company %d "%s"`, c.ID, c.Name) }

// of finishes a problem of one run: its items are in order, and a command shows
// the run if it has a number.
func (p Problem) of(run int64) Problem {
	if run > 0 {
		p.Commands = append(p.Commands, Command{fmt.Sprintf("cwvault history %d", run), "shows the run"})
	}
	return p.sorted()
}

// sorted puts the items in order of their keys, each key once.
func (p Problem) sorted() Problem {
	slices.SortStableFunc(p.Items, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	p.Items = slices.CompactFunc(p.Items, func(a, b Item) bool { return a.Key == b.Key })
	return p
}

// added returns the items whose keys are not known.
func (p Problem) added(known []string) []Item {
	old := set(known)
	return slices.DeleteFunc(slices.Clone(p.Items), func(item Item) bool { return old[item.Key] })
}

// only returns the problem with those of its items whose keys are given.
func (p Problem) only(keys []string) Problem {
	wanted := set(keys)
	p.Items = slices.DeleteFunc(slices.Clone(p.Items), func(item Item) bool { return !wanted[item.Key] })
	return p
}

func set(keys []string) map[string]bool {
	m := make(map[string]bool, len(keys))
	for _, key := range keys {
		m[key] = true
	}
	return m
}

// keys returns the keys of the items.
func (p Problem) keys() []string {
	keys := make([]string, len(p.Items))
	for i, item := range p.Items {
		keys[i] = item.Key
	}
	return keys
}
