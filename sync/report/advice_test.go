package report_test

import (
	"strings"
	"testing"

	"cwvault/sync"
	"cwvault/sync/report"
)

// TestWhatToDo: whoever gets a plan in any format for people can approve or fix what it
// holds.
func TestWhatToDo(t *testing.T) {
	const id = "0badc0de0badc0de0badc0de0badc0de"
	plan := sync.Plan{ID: id, Held: []sync.Held{
		{Code: sync.HeldSettling, Key: "company/1"},
		{Code: sync.HeldNoType, Key: "company/2"},
		{Code: sync.HeldNoType, Key: "company/3"},
		{Code: sync.HeldFolderMissing, Key: "company/4"},
		{Code: sync.HeldGuardMoves, Key: "company/5"},
	}}
	hostile := plan
	hostile.Held = []sync.Held{{Code: sync.HeldFolderMissing, Key: "group/`|@all:<b>'\x1b\nx"}, {Code: "<i>|`x`", Key: "company/1"}}
	healthy := sync.Plan{ID: id, Held: plan.Held[:1]}
	for format, want := range map[string]struct{ advice, hostile []string }{
		"text": {[]string{
			"\nWhat to do\n  guard-moves     Review the plan (cwvault plan). If it is right, approve it: cwvault resync --approve " + id + ". If not, correct ConnectWise.\n",
			"\n  folder-missing  Find out who deleted, moved or hid the folder, and restore it. To make a new, empty folder: cwvault resync --recreate company/4\n",
			"\n  no-type         Give the company a type in ConnectWise, or name a group for companies without one with CWVAULT_MISSING.\n",
		}, []string{"cwvault resync --recreate 'group/`|@all:<b>'\\''"}},
		"markdown": {[]string{
			"\n## What to do\n\n| code | what to do |\n|---|---|\n| guard\\-moves | Review the plan \\(`cwvault plan`\\). If it is right, approve it&#58; `cwvault resync --approve " + id + "`. If not, correct ConnectWise. |\n",
			"`cwvault resync --recreate company/4` |\n",
			"| no\\-type | Give the company a type in ConnectWise, or name a group for companies without one with `CWVAULT_MISSING`. |\n",
		}, []string{"cwvault resync \\-\\-recreate \\'group/\\`\\|&#64;all&#58;&lt;b&gt;\\'", `| &lt;i&gt;\|\`}},
		"html": {[]string{
			"<h2>What to do</h2>\n", "<tr><td>guard-moves<td>Review the plan (<code>cwvault plan</code>). If it is right, approve it: <code>cwvault resync --approve " + id + "</code>. If not, correct ConnectWise.</tr>\n",
			"<code>cwvault resync --recreate company/4</code></tr>\n",
			"with <code>CWVAULT_MISSING</code>.</tr>\n",
		}, []string{"<code>cwvault resync --recreate &#39;group/`|@all:&lt;b&gt;", "<td>&lt;i&gt;|`x`<td>Read the reason."}},
	} {
		t.Run(format, func(t *testing.T) {
			show := func(p sync.Plan) string {
				var b strings.Builder
				if err := report.Plan(&b, p, format, false); err != nil {
					t.Fatal(err)
				}
				return b.String()
			}
			contains := func(text string, parts []string) {
				t.Helper()
				for _, part := range parts {
					if !strings.Contains(text, part) {
						t.Errorf("no %q in\n%s", part, text)
					}
				}
			}
			text := show(plan)
			contains(text, want.advice)
			if strings.Count(text, "Give the company a type") != 1 || strings.Contains(text, "moves by itself") {
				t.Errorf("not once for each code that needs a person:\n%s", text)
			}
			text = show(hostile)
			contains(text, want.hostile)
			if strings.ContainsRune(text, '\x1b') {
				t.Errorf("control characters:\n%q", text)
			}
			if text := show(healthy); strings.Contains(text, "What to do") {
				t.Errorf("nobody has to do anything:\n%s", text)
			}
		})
	}
}

// TestSecretsOfPlan: a plan tells of the secrets that a step takes along, in every format
// for people, and says nothing where there are none or nobody counted.
func TestSecretsOfPlan(t *testing.T) {
	move := func(n *int) sync.Plan {
		return sync.Plan{Steps: []sync.Step{{Op: sync.OpMove, From: `\A\B`, To: `\C\B`, Secrets: n}}}
	}
	for _, format := range []string{"text", "markdown", "html"} {
		for want, plan := range map[string]sync.Plan{"at least 2 secrets": move(new(2)), "": move(new(0)), " ": move(nil)} {
			var b strings.Builder
			if err := report.Plan(&b, plan, format, false); err != nil {
				t.Fatal(err)
			}
			if want = strings.TrimSpace(want); !strings.Contains(b.String(), want) || strings.Contains(b.String(), "secret") != (want != "") {
				t.Errorf("%s: not %q:\n%s", format, want, b.String())
			}
		}
	}
}
