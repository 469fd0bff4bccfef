package sync_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

func TestCheckSource(t *testing.T) {
	list := func(ids ...int) (src sync.Source) {
		for _, id := range ids {
			src.Companies = append(src.Companies, sync.Company{ID: id})
		}
		src.Count = len(ids)
		return src
	}
	ten := list(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	for name, c := range map[string]struct {
		src  sync.Source
		last *sync.LastGood
		drop string
		want string
	}{
		"good":                 {src: ten, drop: "10%"},
		"good again":           {src: ten, last: &sync.LastGood{Companies: 10}, drop: "10%"},
		"more than before":     {src: ten, last: &sync.LastGood{Companies: 2}, drop: "10%"},
		"the most that may go": {src: list(1, 2, 3, 4, 5, 6, 7, 8, 9), last: &sync.LastGood{Companies: 10}, drop: "10%"},
		"as a number":          {src: list(1, 2), last: &sync.LastGood{Companies: 10}, drop: "8"},
		"guard off":            {src: list(1), last: &sync.LastGood{Companies: 1000}, drop: "off"},
		"empty":                {src: list(), drop: "off", want: "ConnectWise lists no companies; check the role and location of the API member"},
		"a company twice":      {src: list(3, 1, 3), drop: "off", want: "company 3 is listed twice"},
		"no id":                {src: list(3, 0), drop: "off", want: "a company has the id 0"},
		"a negative id":        {src: list(-7), drop: "off", want: "a company has the id -7"},
		"fewer than counted":   {src: sync.Source{Companies: ten.Companies, Count: 11}, drop: "off", want: "ConnectWise lists 10 companies and counts 11"},
		"more than counted":    {src: sync.Source{Companies: ten.Companies, Count: 9}, drop: "off", want: "ConnectWise lists 10 companies and counts 9"},
		"a third gone":         {src: list(1, 2), last: &sync.LastGood{Companies: 3}, drop: "10%", want: "2 companies, 3 in the last good run; the limit of the drop is 10%"},
		"one too many gone":    {src: list(1), last: &sync.LastGood{Companies: 10}, drop: "8", want: "1 companies, 10 in the last good run; the limit of the drop is 8"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sync.CheckSource(c.src, c.last, limit(t, c.drop))
			want := c.want
			if want != "" {
				want = "cannot trust the list of companies: " + want
			}
			if errorText(err) != want {
				t.Errorf("got %q, want %q", errorText(err), want)
			}
			if _, ok := err.(*sync.SourceError); ok != (want != "") {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

// many is a world of n companies that all do the same: move, are renamed or
// leave for the archive.
func many(n int, op sync.Op) text {
	c := text{structure: "$STATUS", set: archive}
	var companies, vault strings.Builder
	vault.WriteString("Active [group/status:1]\nInactive [group/status:2]\n")
	for i := 1; i <= n; i++ {
		name, status := fmt.Sprintf("C%03d", i), "Inactive"
		switch op {
		case sync.OpMove:
			status = "Active"
		case sync.OpRename:
			name += " Ltd"
		}
		if op != sync.OpArchive {
			fmt.Fprintf(&companies, "%d c%d %q - %s\n", i, i, name, status)
		}
		fmt.Fprintf(&vault, "  C%03d [company/%d]\n", i, i)
	}
	for i := 501; i <= 550; i++ { // and fifty that do not
		fmt.Fprintf(&companies, "%d c%d C%03d - Inactive\n", i, i, i)
		fmt.Fprintf(&vault, "  C%03d [company/%d]\n", i, i)
	}
	c.companies, c.vault = companies.String(), vault.String()
	return c
}

func TestGuards(t *testing.T) {
	for name, c := range map[string]struct {
		op     sync.Op
		n      int
		limits sync.Limits
		code   sync.HoldCode // empty: not held
	}{
		"moves up to the floor":    {sync.OpMove, 10, sync.Limits{Moves: limit(t, "0")}, ""},
		"moves above the floor":    {sync.OpMove, 11, sync.Limits{Moves: limit(t, "10")}, sync.HeldGuardMoves},
		"moves at the limit":       {sync.OpMove, 12, sync.Limits{Moves: limit(t, "12")}, ""},
		"moves, percent":           {sync.OpMove, 13, sync.Limits{Moves: limit(t, "20%")}, sync.HeldGuardMoves}, // of 63
		"moves, percent, not yet":  {sync.OpMove, 12, sync.Limits{Moves: limit(t, "20%")}, ""},                  // of 62
		"moves, off":               {sync.OpMove, 40, sync.Limits{Moves: limit(t, "off"), Renames: limit(t, "0")}, ""},
		"renames above the limit":  {sync.OpRename, 13, sync.Limits{Renames: limit(t, "20%")}, sync.HeldGuardRenames},
		"renames at the limit":     {sync.OpRename, 12, sync.Limits{Renames: limit(t, "20%"), Moves: limit(t, "0")}, ""},
		"archives above the limit": {sync.OpArchive, 11, sync.Limits{Archives: limit(t, "5%")}, sync.HeldGuardArchives},
		"archives up to the floor": {sync.OpArchive, 10, sync.Limits{Archives: limit(t, "5%"), Moves: limit(t, "0")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := many(c.n, c.op)
			settings := w.settings(t)
			settings.Limits = c.limits
			tree := readVault(t, w.vault).Snapshot()
			first := w.plan(t, tree)
			if first.Managed() != c.n+50 {
				t.Fatalf("%d managed company folders", first.Managed())
			}
			hold := sync.Guards(settings, "")(first)
			if c.code == "" {
				if len(hold) > 0 {
					t.Fatalf("held: %v", hold)
				}
				return
			}
			if len(hold) != c.n {
				t.Fatalf("%d are held", len(hold))
			}
			for key, h := range hold {
				if h.Code != c.code || h.Key != key || !h.Code.ByGuard() || !h.Approvable || !strings.Contains(h.Reason, fmt.Sprintf("%d of %d folders", c.n, c.n+50)) {
					t.Fatalf("held: %+v", h)
				}
			}

			// What is left does nothing of that kind, says so, and has the
			// id by which the whole is approved.
			rest := w.decide(t, tree, nil, sync.Guards(settings, ""))
			if !rest.Empty() || !rest.HeldByGuard() || rest.Counts.Held < c.n || rest.ID != first.ID {
				t.Errorf("what is left:\n%s", writePlan(rest.Plan))
			}
			if diff := cmp.Diff(first.Plan, rest.Whole); diff != "" {
				t.Errorf("the whole plan (-alone +of the rest):\n%s", diff)
			}
			if held := sync.Guards(settings, first.ID)(first); len(held) > 0 {
				t.Errorf("approved, but held: %v", held)
			}
			for _, wrong := range []string{strings.Repeat("0", 64), strings.ToUpper(first.ID), first.ID[:63]} {
				if held := sync.Guards(settings, wrong)(first); len(held) != c.n {
					t.Errorf("approved by %s", wrong)
				}
			}
			first.ID = ""
			if held := sync.Guards(settings, "")(first); len(held) != c.n {
				t.Error("no approval approves a plan without id")
			}
		})
	}
}

// TestGuardsAreSeparate: one kind too many does not hold the others, and a
// renamed group counts once.
func TestGuardsAreSeparate(t *testing.T) {
	w := many(40, sync.OpMove)
	w.statuses = "1 Live\n2 Inactive"
	w.companies = strings.ReplaceAll(w.companies, " Active\n", " Live\n") + "601 new \"New one\" - Live\n"
	settings := w.settings(t)
	settings.Limits = sync.Limits{Moves: limit(t, "20%"), Renames: limit(t, "0")}
	tree := readVault(t, w.vault).Snapshot()
	rest := w.decide(t, tree, nil, sync.Guards(settings, ""))
	want := sync.Counts{Create: 1, Rename: 1, Held: 40, Unchanged: 51}
	if diff := cmp.Diff(want, rest.Counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// accessCase is a world in which some folders move, and what that does to
// access when the audience of each folder that has its own is this.
type accessCase struct {
	text
	audience map[string][]string // by path below the root; \ is the root's
	want     string
}

var accessCases = map[string]accessCase{
	"gains and loses": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1; own permissions]
				Prospect [group/type:2; own permissions]
				  Active [group/type:2/status:1]
				    Acme [company/1]`,
		},
		audience: map[string][]string{`\Customer\Active`: {"Helpdesk (View)", "Admins (Owner)"}, `\Prospect`: {"Sales (View)", "Admins (Owner)"}},
		want:     `company/1 gains [Helpdesk (View)] loses [Sales (View)]`,
	},
	"only gains, into a folder that is to be made": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Prospect [group/type:2; own permissions]
				  Active [group/type:2/status:1]
				    Acme [company/1]`,
		},
		audience: map[string][]string{`\`: {"Sales (View)", "Admins (Owner)", "Admins (Owner)"}, `\Prospect`: {"Sales (View)"}},
		want:     `company/1 gains [Admins (Owner)] loses []`,
	},
	"the same people": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Acme [company/1]`,
		},
		audience: map[string][]string{`\`: {"Admins (Owner)"}},
	},
	"a folder with permissions of its own keeps them": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Prospect [group/type:2; own permissions]
				  Active [group/type:2/status:1]
				    Acme [company/1; own permissions]`,
		},
		audience: map[string][]string{`\`: {"Everyone (View)"}, `\Prospect`: {"Sales (View)"}},
	},
	"a rename changes no access": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1; own permissions]
				    Acme then [company/1]`,
		},
		audience: map[string][]string{`\`: {"Everyone (View)"}, `\Customer\Active`: {"Helpdesk (View)"}},
	},
	"from a folder that cannot be seen everybody counts as new": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world: func(w *sync.World) {
				w.Tree.Folders = slices.DeleteFunc(slices.Clone(w.Tree.Folders), func(f sync.Folder) bool { return f.Name == "Hidden" })
			},
			vault: `
				Active [group/status:1]
				Hidden [own permissions]
				  Acme [company/1]`,
		},
		audience: map[string][]string{`\`: {"Everyone (View)"}, `\Hidden`: {"Everyone (View)"}},
		want:     `company/1 gains [Everyone (View)] loses []`,
	},
	"into the archive": {
		text: text{
			set:       archive,
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1; own permissions]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				    Bolt [company/2]`,
		},
		audience: map[string][]string{`\`: {"Everyone (View)"}, `\Customer`: {"Helpdesk (View)"}},
		want:     `company/2 gains [Everyone (View)] loses [Helpdesk (View)]`,
	},
	"into a group that is itself put back": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1; own permissions]
				Mine [own permissions]
				  Active [group/type:1/status:1]
				Yours [own permissions]
				  Acme [company/1]`,
		},
		audience: map[string][]string{`\Customer`: {"Helpdesk (View)"}, `\Mine`: {"Me (Owner)"}, `\Yours`: {"You (Owner)"}},
		want: `
			group/type:1/status:1 gains [Helpdesk (View)] loses [Me (Owner)]
			company/1 gains [Helpdesk (View)] loses [You (Owner)]`,
	},
	"into a group below one that is put back with permissions of its own": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Mine [own permissions]
				  Customer [group/type:1; own permissions]
				    Active [group/type:1/status:1]
				Yours [own permissions]
				  Acme [company/1]`,
		},
		audience: map[string][]string{`\`: {"Everyone (View)"}, `\Mine\Customer`: {"Helpdesk (View)"}, `\Mine`: {"Me (Owner)"}, `\Yours`: {"You (Owner)"}},
		want:     `company/1 gains [Helpdesk (View)] loses [You (Owner)]`,
	},
}

// audiences is what a vault answers when it is asked for them all.
func (c accessCase) audiences(v *memVault, ids []string) map[string][]string {
	answer := map[string][]string{}
	for _, id := range ids {
		f := id
		for f != v.Root && v.Folders[f].Inherits {
			f = v.Folders[f].ParentID
		}
		path := strings.TrimPrefix(v.Path(f), `\Clients`)
		if path == "" {
			path = `\`
		}
		answer[id] = c.audience[path]
	}
	return answer
}

func TestWithAccess(t *testing.T) {
	for name, c := range accessCases {
		t.Run(name, func(t *testing.T) {
			v := readVault(t, c.vault)
			p := c.text.plan(t, v.Snapshot())
			before := p.ID
			ids := p.AudienceFolders()
			if !slices.IsSorted(ids) || slices.ContainsFunc(ids, func(id string) bool { return v.Folders[id] != nil && v.Folders[id].Name == "Hidden" }) {
				t.Errorf("folders %v", ids)
			}
			p, err := p.WithAccess(c.audiences(v, ids))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, s := range p.Steps {
				if s.Access != nil {
					fmt.Fprintf(&b, "%s gains %v loses %v\n", s.Key, s.Access.Gains, s.Access.Loses)
				}
			}
			if diff := cmp.Diff(tidy(c.want), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (p.ID != before) != (c.want != "") {
				t.Errorf("the id was %s and is %s", before, p.ID)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	const (
		gives   = `the move to \Clients\Customer\Active\Acme would give access to Helpdesk (View)`
		crosses = `the move to \Clients\Customer\Active\Acme would cross into another audience, and only key holders can encrypt for it`
	)
	for name, c := range map[string]struct {
		world     string
		encrypted bool
		mode      sync.AccessMode
		approved  bool
		want      string
	}{
		"inherit":                     {world: "gains and loses", mode: sync.AccessInherit},
		"preserve":                    {world: "gains and loses", mode: sync.AccessPreserve},
		"hold":                        {world: "gains and loses", mode: sync.AccessHold, want: gives},
		"hold, approved":              {world: "gains and loses", mode: sync.AccessHold, approved: true},
		"hold, nobody gains":          {world: "the same people", mode: sync.AccessHold},
		"encrypted":                   {world: "gains and loses", encrypted: true, mode: sync.AccessInherit, want: crosses},
		"encrypted, hold":             {world: "gains and loses", encrypted: true, mode: sync.AccessHold, want: crosses},
		"encrypted, approved":         {world: "gains and loses", encrypted: true, mode: sync.AccessHold, approved: true, want: crosses},
		"encrypted, preserve":         {world: "gains and loses", encrypted: true, mode: sync.AccessPreserve},
		"encrypted, the same people":  {world: "the same people", encrypted: true, mode: sync.AccessInherit},
		"encrypted, without a change": {world: "a rename changes no access", encrypted: true, mode: sync.AccessHold},
	} {
		t.Run(name, func(t *testing.T) {
			w := accessCases[c.world]
			v := readVault(t, w.vault)
			w.world = func(world *sync.World) { world.Encrypted = c.encrypted }
			audience := func(ids []string) (map[string][]string, error) { return w.audiences(v, ids), nil }
			p := w.decide(t, v.Snapshot(), audience)
			approved := ""
			if c.approved {
				approved = p.ID
			}
			want := map[sync.Key]sync.Held{}
			if c.want != "" {
				want["company/1"] = sync.Held{Code: sync.HeldAccessWidens, Key: "company/1", Reason: c.want, Approvable: !c.encrypted}
			}
			if diff := cmp.Diff(want, sync.Access(sync.Settings{Access: c.mode}, approved)(p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if sync.HeldAccessWidens.ByGuard() {
		t.Error("a move that waits for approval because of access would end a run with the guards' exit code")
	}
}

// TestPlanJSON holds the JSON form of a plan, which others read.
func TestPlanJSON(t *testing.T) {
	c := text{
		companies: `
			1 alovet "Alovet, <Inc.>" Customer Active
			2 two Bolt - Active
			3 three Cork Customer Active`,
		vault: `
			Customer [group/type:1]
			  Active [group/type:1/status:1; own permissions]
			Prospect [group/type:2; own permissions]
			  Active [group/type:2/status:1]
			    Alovet [company/1]
			    Gone [company/9]`,
	}
	v := readVault(t, c.vault)
	p := c.plan(t, v.Snapshot())
	p, err := p.WithAccess(map[string][]string{"4": {}, "2": {"Helpdesk (View)"}})
	if err != nil {
		t.Fatal(err)
	}
	id := p.ID
	secrets := 12
	p.Steps[0].Secrets = &secrets
	const want = `{
  "schema": "cwvault.plan/1",
  "id": "ID",
  "tenant": "acme",
  "vault": "mem:",
  "root": "\\Clients",
  "steps": [
    {
      "op": "move",
      "kind": "company",
      "key": "company/1",
      "company": {
        "id": 1,
        "identifier": "alovet",
        "name": "Alovet, <Inc.>"
      },
      "folderId": "5",
      "from": "\\Clients\\Prospect\\Active\\Alovet",
      "to": "\\Clients\\Customer\\Active\\Alovet, -Inc.-",
      "reason": "type changed from Prospect to Customer; name changed",
      "secrets": 12,
      "access": {
        "gains": [
          "Helpdesk (View)"
        ],
        "loses": []
      }
    },
    {
      "op": "create",
      "kind": "company",
      "key": "company/3",
      "company": {
        "id": 3,
        "identifier": "three",
        "name": "Cork"
      },
      "to": "\\Clients\\Customer\\Active\\Cork",
      "reason": "new company"
    }
  ],
  "held": [
    {
      "code": "no-type",
      "key": "company/2",
      "company": {
        "id": 2,
        "identifier": "two",
        "name": "Bolt"
      },
      "reason": "the company has no type, and no group is named for that"
    }
  ],
  "departed": [
    {
      "key": "company/9",
      "folderId": "6",
      "path": "\\Clients\\Prospect\\Active\\Gone",
      "reason": "deleted in ConnectWise, or no longer visible to the API member"
    }
  ],
  "counts": {
    "create": 1,
    "adopt": 0,
    "rename": 0,
    "move": 1,
    "archive": 0,
    "held": 1,
    "departed": 1,
    "unchanged": 4
  }
}
`
	if diff := cmp.Diff(strings.Replace(want, "ID", id, 1), string(planJSON(t, p))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("id %q", id)
	}
	var empty map[string]any
	b := planJSON(t, text{}.plan(t, sync.Tree{Root: sync.Folder{ID: "root"}}))
	if err := json.Unmarshal(b, &empty); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"steps", "held", "departed"} {
		if l, ok := empty[list].([]any); !ok || len(l) > 0 {
			t.Errorf("%s is %v in a plan without any", list, empty[list])
		}
	}
}

// TestPlanID sees that the id is one of what is proposed, and of that only.
func TestPlanID(t *testing.T) {
	c := accessCases["gains and loses"]
	v := readVault(t, c.vault)
	p := c.plan(t, v.Snapshot())
	again := c.plan(t, v.Snapshot())
	if p.ID != again.ID {
		t.Error("the same plan has another id")
	}
	n := 5
	again.Steps[0].Secrets = &n
	withSecrets, err := again.WithAccess(nil)
	if err != nil {
		t.Fatal(err)
	}
	if withSecrets.ID != p.ID {
		t.Error("a count of secrets changes the id")
	}
	c.companies = `1 one "Acme Ltd" Customer Active`
	if c.plan(t, v.Snapshot()).ID == p.ID {
		t.Error("another plan has the same id")
	}
}
