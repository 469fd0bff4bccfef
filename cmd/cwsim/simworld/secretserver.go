package simworld

import (
	"fmt"
	"strings"

	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault/secretserver/secretservertest"
)

// Everybody is the group that can read what is in a vault unless a folder says
// otherwise.
const Everybody = "team"

// administrator is the account that every simulated Secret Server has.
const administrator = "admin"

// SecretServer is a Secret Server that holds drawn folders.
type SecretServer struct {
	*secretservertest.Server
	// Account is cwvault's, which owns all folders that it does not lose by
	// readers of their own. Tenant is whose marks are drawn without a name.
	Account, Tenant string
	// Value returns the password in a secret of this name.
	Value func(secret string) string

	groups map[string]bool
}

// Fill puts folders at the top of the server. An error that one of them cannot
// be made is of type *[synctest.Error].
func (s *SecretServer) Fill(top *synctest.Folder) error {
	for _, taken := range []string{Everybody, "everyone", administrator} {
		if strings.EqualFold(s.Account, taken) {
			return fmt.Errorf("the account cannot be %q: that is a group, or the administrator", s.Account)
		}
	}
	if len(top.Secrets) > 0 {
		return fmt.Errorf("the secret %q is in no folder", top.Secrets[0])
	}
	return s.fill(-1, top)
}

func (s *SecretServer) fill(id int, in *synctest.Folder) error {
	for _, f := range in.Folders {
		made, err := s.Add(id, f)
		if err != nil {
			return &synctest.Error{Line: f.Line, Err: err}
		}
		if err := s.fill(made, f); err != nil {
			return err
		}
	}
	return nil
}

// Add makes a folder, with its mark, readers and secrets, without the folders
// in it, below another one or, with -1, at the top.
func (s *SecretServer) Add(parentID int, f *synctest.Folder) (id int, err error) {
	for _, name := range f.Readers {
		if strings.EqualFold(name, s.Account) || strings.EqualFold(name, administrator) {
			return 0, fmt.Errorf("%q is an account; readers are groups", name)
		}
	}
	if id, err = s.MakeFolder(parentID, f.Name); err != nil {
		return 0, err
	}
	switch readers := f.Readers; {
	case parentID < 0:
		s.Grant(id, s.Account, "Owner", "List")
		if len(readers) == 0 {
			readers = []string{Everybody}
		}
		s.admit(id, readers)
	case len(readers) > 0:
		now, _ := s.Folder(id)
		for _, p := range now.Permissions {
			if p.Name != s.Account && p.Name != administrator {
				s.Revoke(id, p.Name)
			}
		}
		s.admit(id, readers)
	case f.Own:
		s.BreakInheritance(id)
	}
	s.SetMark(id, f.Mark, f.BadMark)
	for _, name := range f.Secrets {
		s.PutSecret(id, name)
	}
	return id, nil
}

// admit lets groups read a folder.
func (s *SecretServer) admit(id int, readers []string) {
	if s.groups == nil {
		s.groups = map[string]bool{"everyone": true} // which every Secret Server has
	}
	for _, name := range readers {
		if key := strings.ToLower(name); !s.groups[key] {
			s.AddGroup(name)
			s.groups[key] = true
		}
		s.Grant(id, name, "View", "View")
	}
}

// The metadata in which cwvault keeps marks.
const (
	markSection = "ConnectWise"
	markField   = "Folder key"
)

// SetMark marks a folder as a drawing does; without a mark nothing happens.
func (s *SecretServer) SetMark(id int, m sync.Mark, bad bool) {
	switch {
	case bad:
		s.SetMetadata(id, markSection, markField, "2 of a later version")
	case m != sync.Mark{}:
		s.SetMetadata(id, markSection, markField, synctest.Of(s.Tenant, m).String())
	}
}

// MarkOf returns the mark of a folder, without the tenant if that is the own one.
func (s *SecretServer) MarkOf(f secretservertest.Folder) (m sync.Mark, bad bool) {
	text, ok := f.Metadata[markSection+"/"+markField]
	if !ok {
		return m, false
	}
	m, err := sync.ParseMark(text)
	return synctest.WithoutTenant(s.Tenant, m), err != nil
}

// PutSecret puts a secret into a folder.
func (s *SecretServer) PutSecret(id int, name string) {
	s.AddSecret(id, name, "Password", map[string]string{"password": s.Value(name)})
}

// ReadersOf returns who can read in a folder that does not inherit: not the
// account nor the administrator, and nobody for a folder at the top that is
// open to everybody.
func (s *SecretServer) ReadersOf(f secretservertest.Folder) (readers []string) {
	if f.Inherits {
		return nil
	}
	for _, p := range f.Permissions {
		if p.Name != s.Account && p.Name != administrator {
			readers = append(readers, p.Name)
		}
	}
	if f.ParentID < 0 && len(readers) == 1 && readers[0] == Everybody {
		return nil
	}
	return readers
}
