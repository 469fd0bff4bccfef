package vaulttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cwvault/sync"
	"cwvault/vault"
)

func testNameRules(w *world) {
	rules := w.Vault.Names()
	if rules.Fold == nil || rules.Form == nil {
		w.Fatal("Fold and Form must not be nil")
	}
	samples := append(slices.Clone(oddNames), "", "ACME", "Straße", "Cafe\u0301", "\u0345\u0323", "𝐀", "Ꭰ", "\xff")
	for _, name := range samples {
		for what, f := range map[string]func(string) string{"Fold": rules.Fold, "Form": rules.Form} {
			if once := f(name); f(once) != once {
				w.Errorf("%s(%+q) = %+q, and again %+q", what, name, once, f(once))
			}
		}
	}
	for _, same := range [][2]string{{"Acme", "aCME"}, {"Café", "CAFE\u0301"}, {"ＡＢＣ", "abc"}} {
		if rules.Fold(same[0]) != rules.Fold(same[1]) {
			w.Errorf("Fold tells %q from %q", same[0], same[1])
		}
	}
	if rules.Special != nil {
		for _, name := range []string{"Acme", "Acme (ALOVET)", "..git (ALOVET)"} {
			if rules.Special(name) {
				w.Errorf("Special(%q), want an ordinary name", name)
			}
		}
	}
	if rules.MaxLength != 0 && rules.MaxLength < 32 {
		w.Errorf("MaxLength %d leaves no room for a name", rules.MaxLength)
	}
}

// oddNames are allowed in every vault, or forbidden by its NameRules.
var oddNames = []string{
	"Acme", "a", "0", "Alovet, Inc.", "Smith & Sons", "O'Neill \"The Best\" `Ltd`", "$HOME", "$(id)", "100% Pure", "%41%00",
	"a;b|c<d>e", "*?[x]{y}", "~", "!bang", "#hash", "-rf", "--help", "a=b+c,d", "a@b.example", "^caret", "end.", "many   spaces",
	"Müller & Söhne", "株式会社アロベット", "ООО «Ромашка»", "شركة المثال", "חברה בע״מ", "Ελλάς ΑΕ", "บริษัท", "🦊 Fox 👩‍👩‍👧", "ﬁ ligature",
	"Acme (ALOVET)", "Acme (#250)", "Acme.gpgx", "CON", "nul.txt", "Thumbs.db", "a:b", "a/b",
}

// allowed tells whether the rules let a name stand as it is.
func allowed(rules sync.NameRules, name string) bool {
	length := len([]rune(name))
	if rules.Length != nil {
		length = rules.Length(name)
	}
	return (rules.MaxLength == 0 || length <= rules.MaxLength) &&
		!strings.ContainsAny(name, rules.Forbidden+`\`) &&
		strings.Trim(name, " ") == name &&
		strings.TrimLeft(name, rules.Leading) == name && strings.TrimRight(name, rules.Trailing) == name &&
		(rules.Special == nil || !rules.Special(name)) && rules.Form(name) == name
}

// longestNames are as long as the rules allow, in characters of one to four
// bytes. A vault without a limit has none.
func longestNames(rules sync.NameRules) (names []string) {
	if rules.MaxLength == 0 {
		return nil
	}
	for _, unit := range []string{"x", "é", "株", "🦊"} {
		name := "Longest "
		for allowed(rules, name+unit) {
			name += unit
		}
		for allowed(rules, name+"x") {
			name += "x"
		}
		if allowed(rules, name) {
			names = append(names, name)
		}
	}
	return names
}

func testNames(w *world) {
	rules := w.Vault.Names()
	names := slices.DeleteFunc(slices.Clone(oddNames), func(name string) bool { return !allowed(rules, name) })
	if len(names) < len(oddNames)/2 {
		w.Fatalf("the rules forbid most names; they leave %q", names)
	}
	names = append(names, longestNames(rules)...)

	root := w.root()
	want := map[string]sync.Mark{}
	for i, name := range names {
		f, err := w.Vault.Create(w.ctx, root, name, mark(1+i))
		if err != nil {
			w.Errorf("Create(%+q): %v", name, err)
			continue
		}
		want[name] = mark(1 + i)
		if f.Name != name {
			w.Errorf("Create(%+q) returned the name %+q", name, f.Name)
		}
		w.PutSecret(w.T, name, "router", name)
	}
	secrets := map[string]string{}
	for name := range want {
		secrets[name+`\router`] = name
	}
	w.want(want, secrets)

	// The same names by renaming and moving, and to look them up.
	target := w.create(root, "Target", mark(5000)).ID
	moved := map[string]sync.Mark{"Target": mark(5000)}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f, err := w.Vault.Find(w.ctx, root, name)
		if err != nil || f.Name != name || f.Mark != want[name] {
			w.Errorf("Find(%+q) = %+v, %v", name, f, err)
			continue
		}
		w.update(f.ID, root, "between")
		w.update(f.ID, target, name)
		moved[`Target\`+name] = want[name]
	}
	secrets = map[string]string{}
	for name := range want {
		secrets[`Target\`+name+`\router`] = name
	}
	w.want(moved, secrets)
}

func testBadNames(w *world) {
	rules := w.Vault.Names()
	root := w.root()
	f := w.create(root, "Acme", mark(1))
	w.create(root, "Other", mark(2))
	bad := []string{"", `a\b`, "nul\x00byte", "line\nbreak"}
	for _, c := range rules.Forbidden {
		bad = append(bad, "a"+string(c)+"b")
	}
	if rules.MaxLength > 0 {
		bad = append(bad, strings.Repeat("x", rules.MaxLength+1))
	}
	for _, name := range []string{".", "..", ".git", ".cwvault", "Acme.gpg", "CON"} {
		if !allowed(rules, name) {
			bad = append(bad, name)
		}
	}
	for _, name := range bad {
		_, err := w.Vault.Create(w.ctx, root, name, mark(3))
		w.fails(fmt.Sprintf("Create(%+q)", name), err, vault.ErrInvalid)
		_, err = w.Vault.Update(w.ctx, f.ID, root, name)
		w.fails(fmt.Sprintf("Update(%+q)", name), err, vault.ErrInvalid)
	}
	w.want(map[string]sync.Mark{"Acme": mark(1), "Other": mark(2)}, nil)
}
