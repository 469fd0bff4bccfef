package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cwvault/scheduler/api"
	"cwvault/sync"
)

// TestServiceOffersNoVainApproval: in a password store only key holders can take
// a folder to other readers. The page must not offer an approval for that, since
// it would be done and change nothing, again and again.
func TestServiceOffersNoVainApproval(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.world.add(1, "Acme", "Customer", "Active")
	site.world.add(2, "Bolt", "Prospect", "Active")
	s := serveHere(t, site.env)
	s.over(s.ask(api.Request{}))
	others := filepath.Join(site.store, "Clients", "Prospect", ".gpg-id")
	if err := os.WriteFile(others, []byte("others@example.invalid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	site.world.SetTypes(1, site.world.types["Prospect"])
	if got := s.over(s.ask(api.Request{})); got.ExitCode != exitOK || got.Done != 0 {
		t.Errorf("the run: %+v", got)
	}
	look := s.State().Look
	if len(look.Pending.Held) != 1 || look.Pending.Held[0].Code != sync.HeldAccessWidens {
		t.Fatalf("held: %+v", look.Pending.Held)
	}
	_, page := s.get("/")
	if !strings.Contains(page, string(sync.HeldAccessWidens)) || strings.Contains(page, `name="approve"`) {
		t.Errorf("the page does not show the hold, or offers an approval:\n%s", page)
	}
}
