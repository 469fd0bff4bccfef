package passwordstore

import (
	"path/filepath"
	"strings"
	"testing"

	"cwvault/vault"
	"cwvault/vault/vaulttest"

	"github.com/google/go-cmp/cmp"
)

func TestAudience(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		".gpg-id":                         "# the team\nBBBB  # Bob\n\n  AAAA\nBBBB\r\n",
		"Clients/Inherits/Deep/":          "",
		"Clients/Own/.gpg-id":             "CCCC\n",
		"Clients/Own/Deep/":               "",
		"Clients/Nobody/.gpg-id":          "# none\n",
		"Clients/Age/.age-recipients":     "age1xyz\n# comment\nssh-ed25519 AAAAC3 bob\n",
		"Clients/Directory/.gpg-id/":      "",
		"Clients/Large/.gpg-id":           strings.Repeat("#", maxRecipients+1),
		"Clients/.gpg-id.sig":             "a signature alone says nothing",
		"Clients/Linked/":                 "",
		"Clients/Linked/Deep/":            "",
		"Clients/Linked/Deep/Own/.gpg-id": "DDDD",
	})
	symlink(t, dir, map[string]string{"Clients/Linked/.gpg-id": "../Own/.gpg-id"})
	s := open(t, dir)
	paths := vaulttest.Paths(t.Context(), t, s)
	team := []string{"AAAA", "BBBB"}
	for path, want := range map[string]struct {
		audience []string
		err      error
		inherits bool
	}{
		"":                {team, nil, true},
		"Inherits":        {team, nil, true},
		`Inherits\Deep`:   {team, nil, true},
		"Own":             {[]string{"CCCC"}, nil, false},
		`Own\Deep`:        {[]string{"CCCC"}, nil, true},
		"Nobody":          {[]string{}, nil, false},
		"Age":             {[]string{"AAAA", "BBBB", "age1xyz", "ssh-ed25519 AAAAC3 bob"}, nil, false},
		"Directory":       {team, nil, true},
		"Large":           {nil, vault.ErrNotAllowed, false},
		"Linked":          {nil, vault.ErrNotAllowed, false},
		`Linked\Deep`:     {nil, vault.ErrNotAllowed, true},
		`Linked\Deep\Own`: {[]string{"DDDD"}, nil, false},
	} {
		f, ok := paths[path]
		if !ok {
			t.Fatalf("no folder %q", path)
		}
		got, err := s.Audience(t.Context(), f.ID)
		wantError(t, "Audience of "+path, err, want.err)
		if diff := cmp.Diff(want.audience, got); diff != "" {
			t.Errorf("Audience(%q) (-want +got):\n%s", path, diff)
		}
		if f.Inherits != want.inherits {
			t.Errorf("folder %q: Inherits is %v", path, f.Inherits)
		}
	}
	_, err := s.Audience(t.Context(), "no such id")
	wantError(t, "Audience", err, vault.ErrNotFound)
}

func TestUpdateAccess(t *testing.T) {
	const team, lead = "AAAA\nBBBB\n", "# leads only\nCCCC\n"
	for name, tt := range map[string]struct {
		files, links map[string]string // beside Clients/From/Acme and Clients/To
		parent       string            // where Acme moves to; To when empty
		inherit      error             // with Inherit; nil: the move is made and adds nothing
		preserve     error             // with Preserve
		added        map[string]string // by Preserve to Acme
	}{
		"one for all":       {files: map[string]string{".gpg-id": team}},
		"none at all":       {},
		"rename alone":      {files: map[string]string{"Clients/To/.gpg-id": lead}, parent: "From"},
		"same in two files": {files: map[string]string{".gpg-id": team, "Clients/To/.gpg-id": "# written anew\nBBBB\nAAAA # A\n"}},
		"own goes along":    {files: map[string]string{".gpg-id": team, "Clients/To/.gpg-id": lead, "Clients/From/Acme/.gpg-id": "DDDD\n"}},
		"into other": {files: map[string]string{".gpg-id": team, "Clients/To/.gpg-id": lead},
			inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": team}},
		"out of other": {files: map[string]string{".gpg-id": team, "Clients/From/.gpg-id": lead},
			inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": lead}},
		"more readers": {files: map[string]string{"Clients/From/.gpg-id": "AAAA", "Clients/To/.gpg-id": team},
			inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": "AAAA"}},
		"signed": {files: map[string]string{".gpg-id": team, ".gpg-id.sig": "signed", "Clients/To/.gpg-id": lead, "Clients/To/.gpg-id.sig": "too"},
			inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": team, ".gpg-id.sig": "signed"}},
		"age": {files: map[string]string{".age-recipients": "age1a\n", "Clients/To/.age-recipients": "age1b\n"},
			inherit: vault.ErrNotAllowed, added: map[string]string{".age-recipients": "age1a\n"}},
		"own of the other kind": {files: map[string]string{".gpg-id": team, "Clients/To/.gpg-id": lead, "Clients/From/Acme/.age-recipients": "age1a\n"},
			inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": team}},
		"nothing to preserve": {files: map[string]string{"Clients/To/.gpg-id": lead}, inherit: vault.ErrNotAllowed, preserve: vault.ErrNotAllowed},
		"into nothing":        {files: map[string]string{"Clients/From/.gpg-id": team}, inherit: vault.ErrNotAllowed, added: map[string]string{".gpg-id": team}},
		"one linked for all":  {links: map[string]string{".gpg-id": "nowhere"}},
		"linked at the goal": {files: map[string]string{".gpg-id": team}, links: map[string]string{"Clients/To/.gpg-id": "../../.gpg-id"},
			inherit: vault.ErrNotAllowed, preserve: vault.ErrNotAllowed},
		"own is linked": {files: map[string]string{".gpg-id": team}, links: map[string]string{"Clients/From/Acme/.gpg-id": "../../../.gpg-id"},
			inherit: vault.ErrNotAllowed, preserve: vault.ErrNotAllowed},
	} {
		for _, access := range []string{Inherit, Hold, Preserve} {
			t.Run(name+"/"+access, func(t *testing.T) {
				dir := t.TempDir()
				files(t, dir, map[string]string{"Clients/From/Acme/.cwvault": acmeMark, "Clients/From/Acme/Inside/x.gpg": "x", "Clients/From/Other/": "", "Clients/To/Taken/": ""})
				files(t, dir, tt.files)
				symlink(t, dir, tt.links)
				before := snapshot(t, dir)
				s := open(t, dir, func(cfg *Config) { cfg.Access = access })
				paths := vaulttest.Paths(t.Context(), t, s)
				acme := paths[`From\Acme`]
				parent := paths["To"]
				if tt.parent != "" {
					parent = paths[tt.parent]
				}

				if tt.parent == "" { // a refusal for another reason leaves nothing behind
					_, err := s.Update(t.Context(), acme.ID, parent.ID, "Taken")
					wantError(t, "Update onto a taken name", err, vault.ErrNameTaken)
					if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
						t.Errorf("files (-want +got):\n%s", diff)
					}
				}

				audience, errBefore := s.Audience(t.Context(), acme.ID)
				f, err := s.Update(t.Context(), acme.ID, parent.ID, "Acme, Inc.")
				want, wantErr := before, tt.inherit
				if access == Preserve {
					wantErr = tt.preserve
				}
				wantError(t, "Update", err, wantErr)
				if wantErr == nil {
					want = map[string]string{}
					to := strings.ReplaceAll("Clients/"+map[bool]string{true: "To", false: tt.parent}[tt.parent == ""]+"/Acme, Inc./", `\`, "/")
					for name, data := range before {
						want[strings.Replace(name, "Clients/From/Acme/", to, 1)] = data
					}
					if access == Preserve {
						for name, data := range tt.added {
							want[to+name] = data
						}
					}
					own := want[to+".gpg-id"] != "" || want[to+".age-recipients"] != ""
					if f.Inherits == own {
						t.Errorf("folder returned: %+v", f)
					}
					after, errAfter := s.Audience(t.Context(), acme.ID)
					if diff := cmp.Diff(audience, after); diff != "" || (errBefore == nil) != (errAfter == nil) {
						t.Errorf("audience before (%v) and after (%v) (-before +after):\n%s", errBefore, errAfter, diff)
					}
				} else if !strings.Contains(err.Error(), "id") && !strings.Contains(err.Error(), "recipients") {
					t.Errorf("the error does not say why: %v", err)
				}
				if diff := cmp.Diff(want, snapshot(t, dir)); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A move that fails after the recipients were made the folder's own takes them
// back.
func TestPreserveUndone(t *testing.T) {
	dir := t.TempDir()
	files(t, dir, map[string]string{
		".gpg-id": "AAAA\n", ".gpg-id.sig": "signed", ".age-recipients": "age1a\n", "Clients/Acme/.cwvault": acmeMark,
		"Clients/To/.gpg-id": "BBBB\n", "Clients/To/.age-recipients/": "",
	})
	before := snapshot(t, dir)
	s := open(t, dir, preserve)
	paths := vaulttest.Paths(t.Context(), t, s)
	asNobody(t, dir, 0o500, filepath.Join(dir, "Clients/To"))
	_, err := s.Update(t.Context(), paths["Acme"].ID, paths["To"].ID, "Acme")
	wantError(t, "Update", err, vault.ErrNotAllowed)
	if !strings.Contains(err.Error(), "rename") {
		t.Errorf("the move itself was to fail, not: %v", err)
	}
	asOurselves(t, dir)
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := s.Update(t.Context(), paths["Acme"].ID, paths["To"].ID, "Acme"); err != nil {
		t.Error(err)
	}
	if got := snapshot(t, dir)["Clients/To/Acme/.gpg-id"]; got != "AAAA\n" {
		t.Errorf("the folder's own recipients are %q", got)
	}
}
