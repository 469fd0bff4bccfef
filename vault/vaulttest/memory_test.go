package vaulttest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/synctest"
	"cwvault/vault"
	"cwvault/vault/vaulttest"
)

const drawing = `Customer [group/type:1; readers: Ana, Bo]
  * gate
  Acme [company/1]
    * firewall
    * router
    Theirs [other company/1; own permissions]
Torn [unreadable mark]
`

func drawn(t *testing.T) *vaulttest.Memory {
	t.Helper()
	top, err := synctest.Folders(drawing)
	if err != nil {
		t.Fatal(err)
	}
	return vaulttest.DrawnMemory("acme", top)
}

func TestMemoryDrawing(t *testing.T) {
	m := drawn(t)
	if diff := cmp.Diff(drawing, m.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f := m.Folders["2"]; f.Mark != (sync.Mark{Tenant: "acme", Key: "company/1"}) || f.Name != "Acme" || m.Marked("company/1") != f {
		t.Errorf("folder 2 is %+v", f)
	}
	c := m.Clone()
	c.Folders["2"].Name = "Other"
	c.PutSecret("2", "new", "value")
	c.Remove("1")
	if diff := cmp.Diff(drawing, m.String()); diff != "" {
		t.Errorf("a change of the clone changed it (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("Torn [unreadable mark]\n", c.String()); diff != "" {
		t.Errorf("clone (-want +got):\n%s", diff)
	}
}

func TestMemoryReports(t *testing.T) {
	m := drawn(t)
	m.Readers[m.Root] = []string{"Everyone"}
	ctx := t.Context()
	for id, want := range map[string]struct {
		secrets  int
		audience []string
	}{
		"root": {3, []string{"Everyone"}},
		"1":    {3, []string{"Ana", "Bo"}},
		"2":    {2, []string{"Ana", "Bo"}},
		"3":    {0, nil},
		"4":    {0, []string{"Everyone"}},
	} {
		n, err := m.Secrets(ctx, id)
		if n != want.secrets || err != nil {
			t.Errorf("%s has %d secrets, %v", id, n, err)
		}
		readers, err := m.Audience(ctx, id)
		if diff := cmp.Diff(want.audience, readers); diff != "" || err != nil {
			t.Errorf("audience of %s: %v (-want +got):\n%s", id, err, diff)
		}
	}
	if _, err := m.Secrets(ctx, "9"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("secrets of an unknown folder: %v", err)
	}
	if _, err := m.Audience(ctx, "9"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("audience of an unknown folder: %v", err)
	}
	if err := errors.Join(m.Commit(ctx, "run 1"), m.Close()); err != nil || !cmp.Equal(m.Commits, []string{"run 1"}) {
		t.Errorf("commits %q, %v", m.Commits, err)
	}
}

// TestMemoryFailures: what each failure says and does.
func TestMemoryFailures(t *testing.T) {
	const made, unmarked = "A [company/7]\n", "A\n"
	for name, c := range map[string]struct {
		fail vaulttest.Failure
		want error
		left string // of a folder that is created
		dead bool
	}{
		"none":         {vaulttest.NoFailure, nil, made, false},
		"refused":      {vaulttest.FailRefused, vaulttest.ErrRefused, "", false},
		"unauthorized": {vaulttest.FailUnauthorized, vault.ErrUnauthorized, "", false},
		"read-only":    {vaulttest.FailReadOnly, vault.ErrReadOnly, "", false},
		"unavailable":  {vaulttest.FailUnavailable, vault.ErrUnavailable, "", false},
		"cut":          {vaulttest.FailCut, vault.ErrUnanswered, "", false},
		"lost":         {vaulttest.FailLost, vault.ErrUnanswered, made, false},
		"half lost":    {vaulttest.FailHalfLost, vault.ErrUnanswered, unmarked, false},
		"no mark":      {vaulttest.FailNoMark, vaulttest.ErrRefused, unmarked, false},
		"stopped":      {vaulttest.FailStopped, vaulttest.ErrDead, "", true},
		"died":         {vaulttest.FailDied, vaulttest.ErrDead, made, true},
		"half died":    {vaulttest.FailHalfDied, vaulttest.ErrDead, unmarked, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := vaulttest.NewMemory("acme")
			if _, err := m.CreateRoot(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.Fail = func(n int, call string) vaulttest.Failure {
				if n != 2 || call != "create A" {
					t.Errorf("call %d is %q", n, call)
				}
				return c.fail
			}
			f, err := m.Create(context.Background(), m.Root, "A", sync.Mark{Tenant: "acme", Key: "company/7"})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if answered := c.fail == vaulttest.NoFailure || c.fail == vaulttest.FailNoMark; (f.ID != "") != answered {
				t.Errorf("returned %+v", f)
			}
			if got := m.String(); got != c.left || m.Dead != c.dead {
				t.Errorf("it holds %q, dead %v", got, m.Dead)
			}
		})
	}
}
