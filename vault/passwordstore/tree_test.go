package passwordstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault"
	"cwvault/vault/vaulttest"

	gocmp "github.com/google/go-cmp/cmp"
)

const acmeMark = `{"cwvault":1,"tenant":"acmeinc","key":"company/250"}` + "\n"

// symlink makes links, or skips the test where there are none.
func symlink(t *testing.T, dir string, links map[string]string) {
	t.Helper()
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
}

func TestTree(t *testing.T) {
	outside := t.TempDir()
	files(t, outside, map[string]string{"Victim/.cwvault": acmeMark, "Victim/x.gpg": "x"})
	dir := t.TempDir()
	files(t, dir, map[string]string{
		".gpg-id": "ABCD\n", "mail.gpg": "x", "Elsewhere/Acme/.cwvault": acmeMark,
		"Clients/Acme/.cwvault":          acmeMark,
		"Clients/Acme/router.gpg":        "x",
		"Clients/Acme/Own/.gpg-id":       "EF\n",
		"Clients/Acme/Own/Age/":          "",
		"Clients/Age/.age-recipients":    "age1\n",
		"Clients/Age/.gpg-id/":           "", // a directory is no file of recipients
		"Clients/Acme.gpg":               "a secret beside the folder of the same name",
		"Clients/Secret.gpg/":            "",
		"Clients/README":                 "a file is no folder",
		"Clients/.hidden/.cwvault":       acmeMark,
		"Clients/.hidden/Inside/":        "",
		"Clients/.git/":                  "",
		"Clients/.cwvault-X/.cwvault":    acmeMark, // left over
		"Clients/Acme/.extensions/Deep/": "",
		"Clients/Bad/.cwvault":           "{}",
	})
	symlink(t, dir, map[string]string{
		"Clients/out":       outside,
		"Clients/relative":  "../Elsewhere",
		"Clients/loop":      ".",
		"Clients/dangling":  "nowhere",
		"Clients/self":      "self",
		"Clients/alias.gpg": "Acme/router.gpg", // a secret by another name
		"Clients/.dotlink":  "Acme",
		"Clients/Acme/up":   "../..",
	})
	before := snapshot(t, dir)

	s := open(t, dir)
	tree, err := s.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := "Clients"
	want := sync.Tree{
		RootPath: `\Clients`,
		Root:     sync.Folder{ID: root, Name: "Clients", Inherits: true},
		Folders: []sync.Folder{
			{ID: root + "/Acme", ParentID: root, Name: "Acme", Mark: mark(250), Inherits: true},
			{ID: root + "/Acme/Own", ParentID: root + "/Acme", Name: "Own"},
			{ID: root + "/Acme/Own/Age", ParentID: root + "/Acme/Own", Name: "Age", Inherits: true},
			{ID: root + "/Acme/up", ParentID: root + "/Acme", Name: "up", BadMark: true, Inherits: true},
			{ID: root + "/Age", ParentID: root, Name: "Age"},
			{ID: root + "/Bad", ParentID: root, Name: "Bad", BadMark: true, Inherits: true},
			{ID: root + "/Secret.gpg", ParentID: root, Name: "Secret.gpg", Inherits: true},
			{ID: root + "/dangling", ParentID: root, Name: "dangling", BadMark: true, Inherits: true},
			{ID: root + "/loop", ParentID: root, Name: "loop", BadMark: true, Inherits: true},
			{ID: root + "/out", ParentID: root, Name: "out", BadMark: true, Inherits: true},
			{ID: root + "/relative", ParentID: root, Name: "relative", BadMark: true, Inherits: true},
			{ID: root + "/self", ParentID: root, Name: "self", BadMark: true, Inherits: true},
		},
	}
	if diff := gocmp.Diff(want, tree); diff != "" {
		t.Errorf("Tree (-want +got):\n%s", diff)
	}

	// A link is a taken name and nothing else.
	for _, link := range []string{"out", "relative", "loop", "dangling", "Acme/up"} {
		id := root + "/" + link
		_, err := s.Create(t.Context(), id, "New", mark(1))
		wantError(t, "Create below "+link, err, vault.ErrInvalid)
		_, err = s.Update(t.Context(), id, root, "New")
		wantError(t, "Update "+link, err, vault.ErrInvalid)
		_, err = s.Update(t.Context(), root+"/Acme", id, "New")
		wantError(t, "Update below "+link, err, vault.ErrInvalid)
		wantError(t, "Mark "+link, s.Mark(t.Context(), id, mark(1)), vault.ErrInvalid)
		_, err = s.Find(t.Context(), id, "Victim")
		wantError(t, "Find below "+link, err, vault.ErrInvalid)
		_, err = s.Secrets(t.Context(), id)
		wantError(t, "Secrets of "+link, err, vault.ErrInvalid)
		_, err = s.Audience(t.Context(), id)
		wantError(t, "Audience of "+link, err, vault.ErrInvalid)
		parent, name := root, link
		if before, after, ok := strings.Cut(link, "/"); ok {
			parent, name = root+"/"+before, after
		}
		_, err = s.Create(t.Context(), parent, name, mark(1))
		wantError(t, "Create "+link, err, vault.ErrNameTaken)
		if f, err := s.Find(t.Context(), parent, name); err != nil || f.ID != id || f.Mark != (sync.Mark{}) {
			t.Errorf("Find(%s) = %+v, %v", link, f, err)
		}
	}
	_, err = s.Create(t.Context(), root, "README", mark(1))
	wantError(t, "Create over a file", err, vault.ErrNameTaken)
	_, err = s.Update(t.Context(), root+"/Age", root, "README")
	wantError(t, "Update onto a file", err, vault.ErrNameTaken)
	if diff := gocmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that is %q", what, err, want)
	}
}

// Names that people or programs can give and cwvault never would.
func TestTreeOddNames(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux takes any bytes for a name")
	}
	dir := t.TempDir()
	names := []string{"line\nbreak", "bad \xff\xfe utf-8", `back\slash`, " spaces ", "-rf", "\x1b[31mred\x07", "tab\t", "\u202egnp.exe", strings.Repeat("é", 127), "a//2", "*"}
	for i, name := range names {
		if name == "a//2" {
			name = "a/2"
		}
		files(t, dir, map[string]string{"Clients/" + name + "/.cwvault": strings.Replace(acmeMark, "250", fmt.Sprint(i+1), 1)})
	}
	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	found := 0
	for path, f := range paths {
		if f.Mark == (sync.Mark{}) {
			continue
		}
		found++
		i, _ := f.Mark.Key.CompanyID()
		if want := strings.ReplaceAll(names[i-1], "//", `\`); path != want {
			t.Errorf("folder %d is %q, want %q", i, path, want)
		}
		// A managed folder that somebody has renamed so can be put back.
		if _, err := s.Update(t.Context(), f.ID, paths[""].ID, fmt.Sprintf("Company %d", i)); err != nil {
			t.Errorf("Update(%q): %v", path, err)
		}
	}
	if found != len(names) {
		t.Errorf("%d of %d folders are listed", found, len(names))
	}
	if got := snapshot(t, dir)["Clients/Company 2/.cwvault"]; !strings.Contains(got, "company/2") {
		t.Errorf("mark of company 2 is %q", got)
	}
}

func TestTreeDeep(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	root, err := s.CreateRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const depth = 100
	f, name := root, strings.Repeat("deep ", 12)+"x" // longer in all than a path may be
	for i := range depth {
		if f, err = s.Create(t.Context(), f.ID, name, mark(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Update(t.Context(), f.ID, root.ID, "top"); err != nil {
		t.Fatal(err)
	}
	other := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, other)
	if len(paths) != depth+1 || paths["top"].Mark != mark(depth) {
		t.Fatalf("%d folders, %+v", len(paths), paths["top"])
	}
	deepest := paths[strings.TrimSuffix(strings.Repeat(name+`\`, depth-1), `\`)]
	if deepest.Mark != mark(depth-1) {
		t.Fatalf("deepest folder: %+v", deepest)
	}
	if _, err := other.Update(t.Context(), paths["top"].ID, deepest.ID, "bottom"); err != nil {
		t.Error(err)
	}
	if f, err := other.Find(t.Context(), deepest.ID, "Bottom"); err != nil || f.Mark != mark(depth) {
		t.Errorf("Find = %+v, %v", f, err)
	}
}

func TestTreeRoot(t *testing.T) {
	outside := t.TempDir()
	files(t, outside, map[string]string{"Clients/Victim/": ""})
	for name, tt := range map[string]struct {
		files, links map[string]string
		want         error
	}{
		"link out":          {links: map[string]string{"Team": outside}, want: vault.ErrInvalid},
		"link inside":       {files: map[string]string{"Real/Clients/": ""}, links: map[string]string{"Team": "Real"}, want: vault.ErrInvalid},
		"root itself":       {files: map[string]string{"Team/": ""}, links: map[string]string{"Team/Clients": outside}, want: vault.ErrInvalid},
		"dangling":          {links: map[string]string{"Team": "nowhere"}, want: vault.ErrInvalid},
		"file on the way":   {files: map[string]string{"Team": ""}, want: vault.ErrNameTaken},
		"file at its place": {files: map[string]string{"Team/Clients": ""}, want: vault.ErrNameTaken},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files(t, dir, tt.files)
			symlink(t, dir, tt.links)
			before, beyond := snapshot(t, dir), snapshot(t, outside)
			s := open(t, dir, func(cfg *Config) { cfg.Root = `\Team\Clients` })
			tree, err := s.Tree(t.Context())
			wantError(t, fmt.Sprintf("Tree = %+v", tree), err, tt.want)
			_, err = s.CreateRoot(t.Context())
			wantError(t, "CreateRoot", err, tt.want)
			if diff := gocmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(beyond, snapshot(t, outside)); diff != "" {
				t.Errorf("files outside (-want +got):\n%s", diff)
			}
		})
	}
}

// The folders above the root are none of ours.
func TestAboveRoot(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"Team/Clients/Acme/.cwvault": acmeMark, "Team/Other/": ""})
	s := open(t, dir, func(cfg *Config) { cfg.Root = `\Team\Clients` })
	paths := vaulttest.Paths(t.Context(), t, s)
	before := snapshot(t, dir)
	for _, id := range []string{"Team", "", ".", "Team/Other", "Team/Clients/..", "/"} {
		_, err := s.Create(t.Context(), id, "New", mark(1))
		wantError(t, "Create below "+id, err, vault.ErrNotFound)
		_, err = s.Update(t.Context(), paths["Acme"].ID, id, "Acme")
		wantError(t, "Update to "+id, err, vault.ErrNotFound)
		_, err = s.Update(t.Context(), id, paths["Acme"].ID, "Acme")
		wantError(t, "Update of "+id, err, vault.ErrNotFound)
		wantError(t, "Mark "+id, s.Mark(t.Context(), id, mark(1)), vault.ErrNotFound)
	}
	if diff := gocmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// Whatever stands in the place of a mark, reading ends, and Mark leaves it.
func TestTreeBadMarks(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		"Clients/directory/.cwvault/":  "",
		"Clients/full/.cwvault/x":      "x",
		"Clients/garbage/.cwvault":     "\x00\x01\x02",
		"Clients/empty/.cwvault":       "",
		"Clients/huge/.cwvault":        "",
		"Clients/long/.cwvault":        strings.Repeat(" ", maxMark) + acmeMark,
		"Clients/link in/":             "",
		"Clients/link out/":            "",
		"Clients/link nowhere/":        "",
		"Clients/fifo/":                "",
		"Clients/good/.cwvault":        acmeMark,
		"Clients/good/Inside/":         "",
		"Clients/version two/.cwvault": `{"cwvault":2,"tenant":"acmeinc","key":"company/1"}`,
	})
	symlink(t, dir, map[string]string{
		"Clients/link in/.cwvault":      "../good/.cwvault",
		"Clients/link out/.cwvault":     "/dev/zero",
		"Clients/link nowhere/.cwvault": "nowhere",
	})
	if err := os.Truncate(filepath.Join(dir, "Clients/huge/.cwvault"), 1<<40); err != nil {
		t.Log(err) // a hole as large as a disk is not possible everywhere
	}
	makeFIFO(t, filepath.Join(dir, "Clients/fifo/.cwvault"))

	s := open(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	paths := vaulttest.Paths(ctx, t, s)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		f := paths[path]
		switch path {
		case "", `good\Inside`:
			if f.BadMark || f.Mark != (sync.Mark{}) {
				t.Errorf("%q: %+v", path, f)
			}
		case "good":
			if f.BadMark || f.Mark != mark(250) {
				t.Errorf("%q: %+v", path, f)
			}
		default:
			if !f.BadMark || f.Mark != (sync.Mark{}) {
				t.Errorf("%q: %+v, want a bad mark", path, f)
			}
			wantError(t, "Mark "+path, s.Mark(ctx, f.ID, mark(1)), vault.ErrInvalid)
		}
	}
	if len(paths) != 14 {
		t.Errorf("%d folders", len(paths))
	}
	if got, err := os.Lstat(filepath.Join(dir, "Clients/link in/.cwvault")); err != nil || got.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the linked mark is now %v, %v", got, err)
	}
}

// What cannot be read would look as if it were gone.
func TestTreeUnreadable(t *testing.T) {
	for what, mode := range map[string]fs.FileMode{"nothing": 0, "no listing": 0o300, "no entering": 0o600} {
		dir := t.TempDir()
		files(t, dir, map[string]string{"Clients/Open/Inside/": "", "Clients/Closed/Acme/.cwvault": acmeMark})
		s := open(t, dir)
		asNobody(t, dir, mode, filepath.Join(dir, "Clients/Closed"))
		tree, err := s.Tree(t.Context())
		wantError(t, fmt.Sprintf("%s: Tree = %+v", what, tree), err, vault.ErrNotAllowed)
		if !strings.Contains(fmt.Sprint(err), "Clients/Closed") {
			t.Errorf("%s: the error does not say where: %v", what, err)
		}
		asOurselves(t, dir)
		if tree, err := s.Tree(t.Context()); err != nil || len(tree.Folders) != 4 {
			t.Errorf("%s is over: %+v, %v", what, tree, err)
		}
	}
}

// A mark that cannot be read may be anybody's.
func TestTreeUnreadableMark(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"Clients/Acme/.cwvault": acmeMark})
	s := open(t, dir)
	asNobody(t, dir, 0o700)
	if err := s.dir.Chmod("Clients/Acme/.cwvault", 0); err != nil {
		t.Fatal(err)
	}
	tree, err := s.Tree(t.Context())
	wantError(t, fmt.Sprintf("Tree = %+v", tree), err, vault.ErrNotAllowed)
}

// A directory that disappears while it is read may be anywhere.
func TestWalkMoving(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{"Clients/A/": "", "Clients/B/": ""})
	s := open(t, dir)
	n, root, err := s.openRoot(s.known, false)
	if err != nil {
		t.Fatal(err)
	}
	err = walk(t.Context(), root, n, s.known.add, func(_ *os.Root, n *node, _ []fs.DirEntry) error {
		if n.name == "Clients" {
			return os.Rename(filepath.Join(dir, "Clients/B"), filepath.Join(dir, "Clients/A/B"))
		}
		return nil
	})
	wantError(t, "walk", err, errMoving)
}

func TestWalkCancelled(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		files(t, dir, map[string]string{fmt.Sprintf("Clients/%d/Inside/", i): ""})
	}
	s := open(t, dir)
	n, root, err := s.openRoot(s.known, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = walk(ctx, root, n, s.known.add, func(_ *os.Root, n *node, _ []fs.DirEntry) error {
		cancel()
		return nil
	})
	wantError(t, "walk", err, context.Canceled)
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		"top.gpg": "", "Clients/a.gpg": "", "Clients/A/b.gpg": "", "Clients/A/c.age": "", "Clients/A/D/d.GPG": "", "Clients/A/D/x.gpg.bak": "",
		"Clients/A/.hidden.gpg": "", "Clients/A/.hidden/e.gpg": "", "Clients/A/F.gpg/g.gpg": "", "Clients/A/notes.txt": "", "Clients/Empty/": "",
		"Clients/A/gpg": "",
	})
	symlink(t, dir, map[string]string{"Clients/A/alias.gpg": "b.gpg", "Clients/A/linked": "../../Clients"})
	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	for path, want := range map[string]int{"": 6, "A": 5, `A\D`: 1, `A\F.gpg`: 1, "Empty": 0} {
		if got, err := s.Secrets(t.Context(), paths[path].ID); err != nil || got != want {
			t.Errorf("Secrets(%q) = %d, %v; want %d", path, got, err, want)
		}
	}
	_, err := s.Secrets(t.Context(), "no such id")
	wantError(t, "Secrets", err, vault.ErrNotFound)
}

// BenchmarkTree lists 10,000 marked company folders in 40 group folders.
func BenchmarkTree(b *testing.B) {
	const companies = 10_000
	dir := b.TempDir()
	for i := range companies {
		path := filepath.Join(dir, "Clients", fmt.Sprintf("Type %d", i%10), fmt.Sprintf("Status %d", i/10%4), fmt.Sprintf("Company %d", i))
		err := cmp.Or(os.MkdirAll(path, 0o700), os.WriteFile(filepath.Join(path, markFile), []byte(strings.Replace(acmeMark, "250", fmt.Sprint(i+1), 1)), 0o600))
		if err != nil {
			b.Fatal(err)
		}
	}
	s := open(b, dir)
	b.ReportAllocs()
	for b.Loop() {
		tree, err := s.Tree(b.Context())
		if err != nil || len(tree.Folders) != companies+50 {
			b.Fatal(len(tree.Folders), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/companies, "ns/folder")
}
