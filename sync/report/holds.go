package report

import (
	"slices"
	"strconv"
	"strings"

	"cwvault/sync"
)

// Hold explains a hold code.
type Hold struct {
	Code  sync.HoldCode
	Title string // a heading for everything held by this code: "companies without a type"
	Means string // what it means for the folders
	// Fix says how a person fixes it. {plan}, {key} and {company} stand for the
	// plan's id, and the key and the company of the first thing held. Commands and
	// settings are in backquotes.
	Fix string
	// NeedsPerson: nothing changes until a person acts. Otherwise a person wanted
	// the hold, or it clears by itself.
	NeedsPerson bool
}

const (
	review  = "Review the plan (`cwvault plan`). If it is right, approve it: `cwvault resync --approve {plan}`. "
	mistake = "If not, correct ConnectWise."
	missing = ", or name a group for companies without one with `CWVAULT_MISSING`."
)

// catalogue is in order of importance: first the holds that wait for approval, last
// those that clear by themselves.
var catalogue = []Hold{
	{Code: sync.HeldGuardLayout, Title: "a changed layout waits for approval",
		Means: "The settings for structure, names or filters changed, so the whole tree would be laid out anew.",
		Fix:   review + "If not, restore the old settings."},
	{Code: sync.HeldGuardMoves, Title: "too many moves wait for approval",
		Means: "More company folders would move at once than CWVAULT_MAX_MOVES allows. Perhaps many types or statuses were changed by mistake.",
		Fix:   review + mistake},
	{Code: sync.HeldGuardRenames, Title: "too many renames wait for approval",
		Means: "More company folders would be renamed at once than CWVAULT_MAX_RENAMES allows. Perhaps many names were changed by mistake.",
		Fix:   review + mistake},
	{Code: sync.HeldGuardArchives, Title: "too many departures wait for approval",
		Means: "More company folders would be archived at once than CWVAULT_MAX_ARCHIVES allows. Perhaps the API member no longer sees all companies.",
		Fix:   review + mistake},
	{Code: sync.HeldAccessWidens, Title: "moves would change who can see a folder",
		Means: "The folder inherits its permissions, so other people could see its secrets after the move.",
		Fix:   "See who would gain access (`cwvault plan`). In Secret Server, approve the plan if that is right: `cwvault resync --approve {plan}`. With `CWVAULT_ACCESS=preserve` a folder keeps its permissions, in every vault."},
	{Code: sync.HeldFolderMissing, Title: "folders have disappeared from the vault",
		Means: "A managed folder is gone, or the account can no longer see it. cwvault does not make it again unless you ask, because its secrets may still exist somewhere.",
		Fix:   "Find out who deleted, moved or hid the folder, and restore it. To make a new, empty folder: `cwvault resync --recreate {key}`"},
	{Code: sync.HeldDuplicateMark, Title: "several folders carry the same mark",
		Means: "Somebody copied a folder together with its mark, and nothing tells which is the real one.",
		Fix:   "Remove the mark from the copies: the .cwvault file in a password store, the metadata in Secret Server. `cwvault check` lists them."},
	{Code: sync.HeldForeignMark, Title: "folders with a foreign or unreadable mark are in the way",
		Means: "The folder in the way belongs to another installation, is a link, or has a mark that cannot be read.",
		Fix:   "Give each installation a root of its own. Restore an unreadable mark from a backup, or remove it. `cwvault check` lists them."},
	{Code: sync.HeldUnmanagedFolder, Title: "unmanaged folders are in the way",
		Means: "A folder that cwvault does not manage has the name or place that the company's folder should get.",
		Fix:   "If it is the company's folder, adopt it with `CWVAULT_ADOPT=path`. Otherwise rename or move it in the vault."},
	{Code: sync.HeldNameCollision, Title: "names are taken",
		Means: "The company's name is taken, and so are the names that would tell it apart.",
		Fix:   "Rename the company in ConnectWise, or the folder that has its name."},
	{Code: sync.HeldCycle, Title: "folders would move into themselves",
		Means: "Folders were moved into each other by hand.",
		Fix:   "Move the outer folder back in the vault."},
	{Code: sync.HeldNoType, Title: "companies without a type have no place", Means: "The folder structure needs a type to place them.",
		Fix: "Give the company a type in ConnectWise" + missing},
	{Code: sync.HeldNoStatus, Title: "companies without a status have no place", Means: "The folder structure needs a status to place them.",
		Fix: "Give the company a status in ConnectWise" + missing},
	{Code: sync.HeldNoTerritory, Title: "companies without a territory have no place", Means: "The folder structure needs a territory to place them.",
		Fix: "Give the company a territory in ConnectWise" + missing},
	{Code: sync.HeldNoMarket, Title: "companies without a market have no place", Means: "The folder structure needs a market to place them.",
		Fix: "Give the company a market in ConnectWise" + missing},
	{Code: sync.HeldNoParent, Title: "companies without a parent company have no place", Means: "The folder structure needs a parent company to place them.",
		Fix: "Give the company a parent in ConnectWise" + missing},
	{Code: sync.HeldPaused, Title: "paused by a person", Means: "The folder stays as it is while the company is paused.",
		Fix: "When the reason is gone: `cwvault unpause {company}`"},
	{Code: sync.HeldFailedBefore, Title: "failed before, retried later", Means: "The step failed in earlier runs and is retried after a growing delay of up to a day.",
		Fix: "Read the error. If it is about permissions or names, fix that. cwvault retries by itself."},
	{Code: sync.HeldSettling, Title: "recent changes that must settle", Means: "The move waits until ConnectWise has wanted it for the time in CWVAULT_SETTLE.",
		Fix: "Nothing; the folder moves by itself."},
	{Code: sync.HeldExcluded, Title: "excluded by the settings", Means: "CWVAULT_EXCLUDE names the company.",
		Fix: "Nothing, if that is what you want."},
}

// HoldOf explains a hold code. It never fails: an unknown code gets a general
// explanation.
func HoldOf(code sync.HoldCode) Hold {
	i := rank(code)
	if i == len(catalogue) {
		return Hold{Code: code, Title: "held: " + string(code), Means: "Another version of cwvault held it.", Fix: "Read the reason.", NeedsPerson: true}
	}
	h := catalogue[i]
	h.NeedsPerson = code.NeedsPerson()
	return h
}

// HoldsOf explains the codes in held, each once, the most important first.
func HoldsOf(held []sync.Held) []Hold {
	var list []Hold
	for _, h := range held {
		if !slices.ContainsFunc(list, func(o Hold) bool { return o.Code == h.Code }) {
			list = append(list, HoldOf(h.Code))
		}
	}
	slices.SortStableFunc(list, func(a, b Hold) int { return rank(a.Code) - rank(b.Code) })
	return list
}

func rank(code sync.HoldCode) int {
	if i := slices.IndexFunc(catalogue, func(h Hold) bool { return h.Code == code }); i >= 0 {
		return i
	}
	return len(catalogue)
}

// Advice says what a person must do about the things that a plan holds by one code.
type Advice struct {
	Code  sync.HoldCode
	Parts []AdvicePart
}

// AdvicePart is a part of an advice: prose, or a command or setting.
type AdvicePart struct {
	Text string // without control characters
	Code bool
}

// AdviceOf says what a person must do about what a plan holds, the most important first.
func AdviceOf(plan sync.Plan) (list []Advice) {
	for _, h := range HoldsOf(plan.Held) {
		if h.NeedsPerson {
			i := slices.IndexFunc(plan.Held, func(held sync.Held) bool { return held.Code == h.Code })
			list = append(list, Advice{h.Code, h.fix(plan.ID, plan.Held[i])})
		}
	}
	return list
}

// Text returns the advice as one text.
func (a Advice) Text() string { return joined(a.Parts) }

func joined(parts []AdvicePart) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// FixFor returns Fix for one thing that a plan holds, without backquotes.
func (h Hold) FixFor(plan string, held sync.Held) string { return joined(h.fix(plan, held)) }

func (h Hold) fix(plan string, held sync.Held) (parts []AdvicePart) {
	company := string(held.Key)
	if id, ok := held.Key.CompanyID(); ok {
		company = strconv.Itoa(id)
	}
	key := string(held.Key)
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789/:") != "" {
		key = quote(key)
	}
	values := strings.NewReplacer("{plan}", plan, "{key}", key, "{company}", company)
	for i, text := range strings.Split(h.Fix, "`") { // before the values, which may contain any
		if text != "" {
			parts = append(parts, AdvicePart{Plain(values.Replace(text)), i%2 == 1})
		}
	}
	return parts
}
