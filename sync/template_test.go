package sync_test

import (
	"fmt"
	"strings"
	"testing"

	"cwvault/sync"
)

const leafHelp = "valid are $NAME, $IDENTIFIER, $ID (a dollar sign is written $$)"

const levelHelp = "valid are $TYPE, $STATUS, $COMPANYINITIAL, $TERRITORY, $MARKET, $PARENT (a dollar sign is written $$)"

func TestParseStructure(t *testing.T) {
	for in, want := range map[string]struct{ spelling, err string }{
		`$TYPE\$STATUS`:                {spelling: `$TYPE\$STATUS`},
		`$TYPE/$STATUS`:                {spelling: `$TYPE\$STATUS`},
		` \$TYPE\ $STATUS \` + "\n":    {spelling: `$TYPE\$STATUS`},
		`$TERRITORY\$MARKET\$PARENT`:   {spelling: `$TERRITORY\$MARKET\$PARENT`},
		`$COMPANYINITIAL`:              {spelling: `$COMPANYINITIAL`},
		`Clients\${TYPE}s - ${STATUS}`: {spelling: `Clients\${TYPE}s - $STATUS`},
		`$TYPE$STATUS`:                 {spelling: `$TYPE$STATUS`},
		`$$\$$TYPE\$$$TYPE`:            {spelling: `$$\$$TYPE\$$$TYPE`},
		`${TYPE}{x}`:                   {spelling: `$TYPE{x}`},
		`.Kunden\Ärzte`:                {spelling: `.Kunden\Ärzte`},
		``:                             {err: `folder structure "" has no level; the usual one is $TYPE\$STATUS`},
		` \/ `:                         {err: `folder structure " \\/ " has no level; the usual one is $TYPE\$STATUS`},
		`$TYPE\\$STATUS`:               {err: `folder structure "$TYPE\\\\$STATUS" has an empty level`},
		`$TYPE\..\$STATUS`:             {err: `folder structure "$TYPE\\..\\$STATUS" has an empty level`},
		`$TYPE\ \$STATUS`:              {err: `folder structure "$TYPE\\ \\$STATUS" has an empty level`},
		"$TYPE\\a\tb":                  {err: `folder structure "$TYPE\\a\tb" has a control character`},
		`$CITY`:                        {err: `folder structure "$CITY": unknown token $CITY; ` + levelHelp},
		`$type`:                        {err: `folder structure "$type": unknown token $type; ` + levelHelp},
		`$NAME`:                        {err: `folder structure "$NAME": unknown token $NAME; ` + levelHelp},
		`$TYPEs`:                       {err: `folder structure "$TYPEs": unknown token $TYPEs; ` + levelHelp},
		`100 $`:                        {err: `folder structure "100 $": unknown token $; ` + levelHelp},
		`${}`:                          {err: `folder structure "${}": unknown token $; ` + levelHelp},
		`${TYPE`:                       {err: `folder structure "${TYPE": ${TYPE has no closing brace`},
		`$TYPE\${STATUS\x}`:            {err: `folder structure "$TYPE\\${STATUS\\x}": ${STATUS has no closing brace`},
	} {
		t.Run(in, func(t *testing.T) {
			st, err := sync.ParseStructure(in)
			if got := errorText(err); got != want.err || st.String() != want.spelling {
				t.Errorf("got %q, error %q\nwant %q, error %q", st, got, want.spelling, want.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseNameTemplate(t *testing.T) {
	for in, want := range map[string]struct{ spelling, err string }{
		`$NAME`:                 {spelling: `$NAME`},
		` $NAME ($IDENTIFIER) `: {spelling: `$NAME ($IDENTIFIER)`},
		`${ID}_$NAME`:           {spelling: `${ID}_$NAME`},
		`$$$ID`:                 {spelling: `$$$ID`},
		`Clients`:               {err: `folder name "Clients" names every company the same; use $NAME, $IDENTIFIER, $ID`},
		``:                      {err: `folder name "" names every company the same; use $NAME, $IDENTIFIER, $ID`},
		`$NAME\$ID`:             {err: `folder name "$NAME\\$ID": a company folder has one level; remove the separator`},
		`$NAME/$ID`:             {err: `folder name "$NAME/$ID": a company folder has one level; remove the separator`},
		`$TYPE`:                 {err: `folder name "$TYPE": unknown token $TYPE; ` + leafHelp},
	} {
		t.Run(in, func(t *testing.T) {
			nt, err := sync.ParseNameTemplate(in)
			if got := errorText(err); got != want.err || nt.String() != want.spelling {
				t.Errorf("got %q, error %q\nwant %q, error %q", nt, got, want.spelling, want.err)
			}
		})
	}
}

// FuzzStructure sees that a structure's spelling means the structure, and that
// no company's place has other than as many levels.
func FuzzStructure(f *testing.F) {
	for _, s := range structures {
		f.Add(s)
	}
	for _, s := range []string{`$$\$${TYPE}`, `${TYPE}s\..`, `\\`, `$`, "a\x00b", `.\$STATUS`, "\u200b", `${STATUS}0\$ID`, `con`} {
		f.Add(s)
	}
	const company = `1 one Acme Customer Active territory="#1 North" market="#2 a/b\\c" parent="#3 .."`
	f.Fuzz(func(t *testing.T, s string) {
		st, err := sync.ParseStructure(s)
		if err != nil || len(s) > 200 { // paths grow with the square of the levels
			return
		}
		again, err := sync.ParseStructure(st.String())
		if err != nil || again.String() != st.String() {
			t.Fatalf("%q is spelled %q, which is read as %q, error %v", s, st, again, err)
		}
		c := text{structure: st.String(), companies: company}
		p := c.plan(t, sync.Tree{Root: sync.Folder{ID: "root"}, RootPath: `\Clients`})
		levels := strings.Count(st.String(), `\`) + 1
		if len(p.Steps) != levels+1 {
			t.Fatalf("%q has %d levels, and the plan is\n%s", st, levels, writePlan(p.Plan))
		}
		for i, step := range p.Steps {
			if strings.Count(step.To, `\`) != i+2 || !step.Key.Valid() || strings.Contains(fmt.Sprint(step.Key), "\n") {
				t.Fatalf("step %d goes to %q with key %q", i, step.To, step.Key)
			}
		}
	})
}
