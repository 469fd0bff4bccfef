package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"cwvault/connectwise"
	"cwvault/sync"
	"cwvault/vault"
)

// problem is something that a person should look at.
type problem struct {
	key     string // stable: the same problem has the same key in every run
	summary string // what it is, in a few words that name no customer
	what    string // what happened, in lines
	mend    string // what to do, with the commands
	items   []problemItem
	// repeated says that it is a problem only once it was seen so many runs in a
	// row with the same mark; 0: at once.
	repeated int
	mark     string
}

// problemItem is one of the things that a problem is about.
type problemItem struct {
	key  string // stable
	text string // one line
}

// The keys of problems, beside those that start with heldPrefix and end with a
// hold code.
const (
	problemUnauthorized = "run/unauthorized"
	problemSource       = "run/source"
	problemSettings     = "run/settings"
	problemFailed       = "run/failed"
	problemSteps        = "steps"
	problemRepeat       = "repeat"
	problemStale        = "stale"

	heldPrefix = "held/"
)

// repeats is how many runs must have made the same steps one after the other
// before that is a problem.
const repeats = 3

// ending is how a run ended. A run that ended before its first step has no
// report, but an error.
type ending struct {
	request request
	report  *runReport
	err     error
}

// problems returns what a person should look at after a run, in order of the
// keys.
func (e ending) problems() []problem {
	if e.report == nil {
		return failed(e.err)
	}
	r := e.report
	if e.blind() {
		return nil
	}
	held := map[sync.HoldCode][]sync.Held{}
	for _, h := range r.Held {
		held[h.Code] = append(held[h.Code], h)
	}
	var list []problem
	if p := stepsFail(r, held[sync.HeldFailedBefore]); len(p.items) > 0 {
		list = append(list, p)
	}
	for code, these := range held {
		if w, ok := remedies[code]; !ok || w != (remedy{}) {
			list = append(list, holds(code, these, r.ID))
		}
	}
	if !e.request.partial() && r.Outcome == outcomeDone && len(r.Steps) > 0 {
		list = append(list, repeat(r))
	}
	slices.SortFunc(list, func(a, b problem) int { return strings.Compare(a.key, b.key) })
	return list
}

// blind reports whether nothing follows from how the run went: it was stopped,
// or another one took over.
func (e ending) blind() bool {
	return e.report == nil || e.report.lost != nil || e.report.Outcome == outcomeStopped
}

// whole reports whether the run would have seen every problem there is, so that
// those that it did not see are gone.
func (e ending) whole() bool { return !e.blind() && !e.request.partial() }

// settles reports whether the run shows that a problem which it did not find is
// gone.
func (e ending) settles(key string) bool {
	return e.whole() && (key != problemStale || e.report.Outcome == outcomeDone)
}

// failed is the problem of a run that ended before its first step; none if
// nobody needs to do anything but the one who asked for the run.
func failed(err error) []problem {
	p := problem{what: "A run ended before its first step; nothing in the vault was changed:\n" + errorText(err)}
	switch code := exitCode(err); {
	case err == nil, errors.Is(err, context.Canceled), code == exitLease, code == exitUsage, code == exitHeld:
		return nil
	case code == exitUnauthorized:
		p.key, p.summary = problemUnauthorized, "runs fail: not authorised"
		if server := serverOf(err); server != "" {
			p.summary += " by " + server
		}
		p.mend = "Look whether the account or API member was locked, changed or lost a right. `cwvault check` tests all rights, one line each."
	case code == exitSource:
		p.key, p.summary = problemSource, "runs fail: the companies read are not to be trusted"
		p.mend = "Look in ConnectWise whether all companies are there and whether the API member may see them. `cwvault check` compares with the last good run."
	case code == exitConfig:
		p.key, p.summary = problemSettings, "runs fail: the settings do not fit"
		p.mend = "Correct what is named above. `cwvault check` lists all that is wrong with the settings."
	default:
		p.key, p.summary = problemFailed, "runs fail"
		if server := serverOf(err); server != "" {
			p.summary += ": " + server + " does not answer as it should"
		}
		p.mend = "If a server did not answer, the next run may do by itself. `cwvault check` tests both connections and the journal, `cwvault history` lists the runs."
	}
	return []problem{p}
}

// serverOf names the server that an error is about, or returns "" where that
// cannot be told.
func serverOf(err error) string {
	var answer *connectwise.Error
	switch {
	case errors.As(err, &answer):
		return "ConnectWise"
	case errors.Is(err, vault.ErrNotAllowed), errors.Is(err, vault.ErrUnavailable):
		return "the vault"
	}
	return ""
}

// stepsFail is the problem of steps that do not work: those of this run, and
// those that rest because they failed before.
func stepsFail(r *runReport, resting []sync.Held) problem {
	p := problem{
		key: problemSteps, summary: "steps fail",
		what: "Steps of a run failed, or were not made because they depend on one that failed. All others were made.",
		mend: "See to the reasons above. Each step is tried again by itself: in the next run, and after that at growing distances of up to a day.",
	}
	if r.Outcome == outcomePartial {
		for i, result := range r.Results {
			if result.Status != sync.StatusDone {
				step := r.Steps[i]
				text := fmt.Sprintf("%s of %s", step.Op, step.To)
				if step.Company != nil {
					text = fmt.Sprintf(`%s of company %d "%s" to %s`, step.Op, step.Company.ID, step.Company.Name, step.To)
				}
				p.items = append(p.items, problemItem{string(step.Key), fmt.Sprintf("%s: %s: %s", text, result.Status, result.Error)})
			}
		}
		if r.Error != "" {
			p.items = append(p.items, problemItem{"run", "the end of the run: " + r.Error})
		}
	}
	for _, h := range resting {
		p.items = append(p.items, heldItem(h))
	}
	return p.finish(fmt.Sprintf("`cwvault history %d` shows the run.", r.Run))
}

// remedy says what is to be done about what is held for one reason. PLAN and KEY
// stand for the plan's id and the first key.
type remedy struct{ summary, mend string }

// remedies has none for what a person wanted so, or what will pass. What
// rests after failures is a matter of [stepsFail].
var remedies = map[sync.HoldCode]remedy{
	sync.HeldExcluded: {}, sync.HeldPaused: {}, sync.HeldSettling: {}, sync.HeldFailedBefore: {},

	sync.HeldNoType:      {"companies without a type have no place", "Give the companies a type in ConnectWise, or let CWVAULT_MISSING name a group for those without."},
	sync.HeldNoStatus:    {"companies without a status have no place", "Give the companies a status in ConnectWise, or let CWVAULT_MISSING name a group for those without."},
	sync.HeldNoTerritory: {"companies without a territory have no place", "Give the companies a territory in ConnectWise, or let CWVAULT_MISSING name a group for those without."},
	sync.HeldNoMarket:    {"companies without a market have no place", "Give the companies a market in ConnectWise, or let CWVAULT_MISSING name a group for those without."},
	sync.HeldNoParent:    {"companies without a parent company have no place", "Give the companies a parent in ConnectWise, or let CWVAULT_MISSING name a group for those without."},
	sync.HeldUnmanagedFolder: {"unmanaged folders are in the way",
		"Rename or move the folders in the vault, or, if they are those of the companies, take them over with CWVAULT_ADOPT=path."},
	sync.HeldNameCollision: {"names collide", "Rename one of the companies in ConnectWise, or one of the folders in the vault."},
	sync.HeldFolderMissing: {"folders have disappeared from the vault",
		"Find out who deleted, moved or hid the folders, and bring them back. They are made again, empty, only by `cwvault resync --recreate KEY`."},
	sync.HeldForeignMark:   {"folders are marked by another tenant", "Give each installation a root of its own; see `cwvault check`."},
	sync.HeldDuplicateMark: {"several folders carry the same mark", "Remove the mark from the copies, mostly made by copying a folder; see `cwvault check`."},
	sync.HeldCycle:         {"folders would move into themselves", "Move the folders in the vault to where no company's folder is above another's."},
	sync.HeldGuardMoves:    {"too many moves wait for approval", approveWords},
	sync.HeldGuardRenames:  {"too many renames wait for approval", approveWords},
	sync.HeldGuardArchives: {"too many archivings wait for approval", approveWords},
	sync.HeldGuardLayout:   {"a new layout waits for approval", approveWords},
	sync.HeldAccessWidens:  {"moves that would change who sees a folder wait", "See `cwvault plan` for who would gain access. The reasons above say what lets the moves through."},
}

const approveWords = "Look at `cwvault plan`. If it is what you want, let it through with\n" +
	"`cwvault resync --approve PLAN`\nThat id is good as long as the plan stays the same."

// holds is the problem of what is held for one reason.
func holds(code sync.HoldCode, list []sync.Held, plan string) problem {
	w, ok := remedies[code]
	if !ok {
		w = remedy{"something is held", "See `cwvault plan`."}
	}
	p := problem{key: heldPrefix + string(code), summary: w.summary + " (" + string(code) + ")", mend: w.mend,
		what: "These should change and do not, until a person has decided or put something right."}
	if code.ByGuard() {
		p.what = list[0].Reason // the same for all
	}
	for _, h := range list {
		p.items = append(p.items, heldItem(h))
	}
	p.mend = strings.NewReplacer("PLAN", plan, "KEY", shellQuote(string(list[0].Key))).Replace(p.mend)
	for _, h := range list {
		if h.Company != nil {
			return p.finish(fmt.Sprintf("`cwvault explain %d` explains one company.", h.Company.ID))
		}
	}
	return p.finish("")
}

func heldItem(h sync.Held) problemItem {
	text := heldName(h)
	if h.Path != "" {
		text += " at " + h.Path
	}
	if !h.Code.ByGuard() {
		text += ": " + h.Reason
	}
	return problemItem{string(h.Key), text}
}

// finish puts the items in order and adds to what is to be done.
func (p problem) finish(more string) problem {
	slices.SortStableFunc(p.items, func(a, b problemItem) int { return strings.Compare(a.key, b.key) })
	p.items = slices.CompactFunc(p.items, func(a, b problemItem) bool { return a.key == b.key })
	if more != "" {
		p.mend += " " + more
	}
	return p
}

// repeat is the problem of a run whose steps are taken back before the next.
func repeat(r *runReport) problem {
	p := problem{
		key: problemRepeat, repeated: repeats, mark: r.ID, summary: "every run makes the same changes again",
		what: fmt.Sprintf("%d runs, one after the other, made the same steps without an error, and the next found them undone.", repeats),
		mend: "Look in the vault's audit log who or what changes these folders: a person, another program, or the vault itself.",
	}
	for _, s := range r.Steps {
		p.items = append(p.items, problemItem{string(s.Key), fmt.Sprintf("%s of %s: %s", s.Op, s.To, s.Reason)})
	}
	return p.finish(fmt.Sprintf("`cwvault history %d` shows the run.", r.Run))
}

// stale is the problem that no run has made all that it had to for too long.
// lastGood is zero if none ever did.
func stale(lastGood time.Time) problem {
	p := problem{
		key: problemStale, summary: "no good run for too long", what: "No run of everything has succeeded yet, for longer than three intervals of the schedule.",
		mend: "`cwvault history` lists the runs with their errors, `cwvault check` tests what a run needs.",
	}
	if !lastGood.IsZero() {
		p.what = fmt.Sprintf("The last run that made all it had to began %s: more than three intervals of the schedule ago. The vault may be out of step since.", when(lastGood))
	}
	return p
}

const (
	// maxSummary is ConnectWise's limit, in its characters (UTF-16).
	maxSummary = 100
	// maxListed bounds the items that one note lists.
	maxListed = 20
	// maxLine and maxText bound what remote text adds to a note, in characters.
	maxLine = 400
	maxText = 4000
)

// title is the summary of the ticket of an installation.
func (p problem) title(c *config) string {
	return cut(fmt.Sprintf("cwvault: %s (%s %s)", p.summary, plain(c.ConnectWiseCompany), plain(c.Root)), maxSummary)
}

// cut shortens s to at most n UTF-16 units, at the end of a character.
func cut(s string, n int) string {
	if len(utf16.Encode([]rune(s))) <= n {
		return s
	}
	used := 1 // for the dots
	for i, r := range s {
		if used += utf16.RuneLen(r); used > n {
			return s[:i] + "…"
		}
	}
	return s
}

// xref is the reference by which the ticket of a problem is found again, also
// by a cwvault whose journal was lost. Another root or vault of the same tenant
// has others. At most 100 characters.
func (p problem) xref(tenant, vaultAddress, root string) string {
	root = strings.Trim(strings.ReplaceAll(root, "/", `\`), `\`)
	sum := sha256.Sum256([]byte(strings.Join([]string{tenant, vaultAddress, vault.Fold(root)}, "\n")))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, strings.ToLower(tenant))
	return fmt.Sprintf("cwvault/%.40s/%x/%s", name, sum[:6], p.key)
}

// note is the first note of a ticket: all there is to say.
func (p problem) note(c *config, since time.Time, run int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.what)
	p.list(&b, p.items)
	fmt.Fprintf(&b, "\nWhat to do: %s\n\nSeen first %s", p.mend, when(since))
	if run > 0 {
		fmt.Fprintf(&b, ", in run %d", run)
	}
	fmt.Fprintf(&b, ", by cwvault for %s below %s.\ncwvault adds a note here when this grows and when it is gone. It never closes a ticket.", c.ConnectWiseCompany, c.Root)
	return clean(b.String())
}

// moreNote tells of the items that came since the last note.
func (p problem) moreNote(added []problemItem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Of this there is more now: %d of %d are new since the last note.\n", len(added), len(p.items))
	p.list(&b, added)
	fmt.Fprintf(&b, "\nWhat to do: %s", p.mend)
	return clean(b.String())
}

// foundNote is for a ticket that the journal did not know.
func (p problem) foundNote() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cwvault goes on with this ticket, which its journal did not know. How it is now:\n\n%s\n", p.what)
	p.list(&b, p.items)
	fmt.Fprintf(&b, "\nWhat to do: %s", p.mend)
	return clean(b.String())
}

// backNote is for a problem that was gone while its ticket stayed open.
func (p problem) backNote(gone time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is back. It was gone %s.\n\n%s\n", when(gone), p.what)
	p.list(&b, p.items)
	fmt.Fprintf(&b, "\nWhat to do: %s", p.mend)
	return clean(b.String())
}

// solvedNote is for a problem that is gone. The run is the one that saw it.
func solvedNote(run int64) string {
	return fmt.Sprintf("Solved: run %d no longer found this. If nothing else is to be done, the ticket can be closed.", run)
}

// list writes the first items, a line each.
func (p problem) list(b *strings.Builder, items []problemItem) {
	if len(items) == 0 {
		return
	}
	b.WriteByte('\n')
	for i, item := range items {
		if i == maxListed {
			fmt.Fprintf(b, "- and %d more\n", len(items)-maxListed)
			return
		}
		fmt.Fprintf(b, "- %s\n", cut(plain(strings.Join(strings.Fields(item.text), " ")), maxLine))
	}
}

// added returns the items that are not among the keys that are known.
func (p problem) added(known []string) []problemItem {
	old := make(map[string]bool, len(known))
	for _, key := range known {
		old[key] = true
	}
	var list []problemItem
	for _, item := range p.items {
		if !old[item.key] {
			list = append(list, item)
		}
	}
	return list
}

// only returns the problem with those of its items whose keys are given.
func (p problem) only(keys []string) problem {
	wanted := make(map[string]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
	}
	p.items = slices.DeleteFunc(slices.Clone(p.items), func(item problemItem) bool { return !wanted[item.key] })
	return p
}

// keys are the keys of the items.
func (p problem) keys() []string {
	keys := make([]string, len(p.items))
	for i, item := range p.items {
		keys[i] = item.key
	}
	return keys
}

// userinfo finds user and password in a URL.
var userinfo = regexp.MustCompile(`(://)[^/\s@"']*@`)

// clean makes a note harmless whatever ConnectWise and the vault have put into
// it: only its own line ends remain of what does not print.
func clean(note string) string {
	lines := strings.Split(note, "\n")
	for i, line := range lines {
		lines[i] = userinfo.ReplaceAllString(plain(line), "$1")
	}
	return strings.Join(lines, "\n")
}

// errorText is an error for a note.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return cut(err.Error(), maxText)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
