package cli

import (
	"bytes"
	crand "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"cwvault/cmd/cwvault/demo"
	"cwvault/connectwise/connectwisetest"
	"cwvault/sync"
	"cwvault/sync/synctest"
)

// TestRandomEdits lets companies change at random and resyncs with the real
// client, core, journal and vault. After each run a second plan is empty, and
// every secret is looked up behind cwvault's back.
func TestRandomEdits(t *testing.T) {
	t.Parallel()
	seeds, rounds := 4, 5
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		for _, kind := range []string{"passwordstore", "secretserver"} {
			t.Run(fmt.Sprintf("%s %d", kind, seed), func(t *testing.T) {
				t.Parallel()
				randomEdits(t, kind, rand.New(rand.NewPCG(uint64(seed), 7)), rounds)
			})
		}
	}
}

var randomNames = append([]string{"Acme", "ACME", "Acme ", "Bolt", "bolt", "Ａｃｍｅ", "Acme (moving #101)", "_Archive", "Active"}, synctest.OddNames...)

func randomEdits(t *testing.T, kind string, random *rand.Rand, rounds int) {
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	w := newScriptWorld(server)
	d := &keeper{secrets: map[string]sync.Key{}}
	if kind == "passwordstore" {
		d.vault, err = demo.NewStore(t.Context(), filepath.Join(t.TempDir(), "store"))
	} else {
		d.vault, err = demo.NewServer()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.vault.Close()
	env := append(d.vault.Settings(),
		"CWVAULT_CONNECTWISE_URL="+server.URL(), "CWVAULT_CONNECTWISE_COMPANY_ID="+server.Tenant(),
		"CWVAULT_CONNECTWISE_PUBLIC_KEY="+server.PublicKey(), "CWVAULT_CONNECTWISE_PRIVATE_KEY="+server.PrivateKey(),
		"CWVAULT_CONNECTWISE_CLIENT_ID="+server.ClientID(), "CWVAULT_STATE="+filepath.Join(t.TempDir(), "cwvault.db"),
		"CWVAULT_MAX_SOURCE_DROP=off", "CWVAULT_MAX_MOVES=off", "CWVAULT_MAX_RENAMES=off", "CWVAULT_MAX_ARCHIVES=off",
		"CWVAULT_LOG_LEVEL=warn", "CWVAULT_DEPARTED=archive", "CWVAULT_MISSING=Unsorted",
	)
	cwvault := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := cwvault(t.Context(), args, env, &out, &errs); code != want {
			t.Fatalf("cwvault %v: exit code %d, want %d\n%s%s", args, code, want, &out, &errs)
		}
		return out.String()
	}
	for id := 101; id <= 130; id++ {
		w.add(id, randomNames[random.IntN(len(randomNames))], "Customer", "Active")
	}
	changed := 0
	for range rounds {
		report := cwvault(exitOK, "resync")
		cwvault(exitOK, "plan", "--detailed-exitcode")
		if len(d.secrets) > 0 {
			if err := d.checkSecrets(); err != nil {
				t.Fatalf("%v\nafter\n%s", err, report)
			}
		}
		// Only folders that have no secrets yet get some: later ones would be
		// put where the company's earlier ones are, as people do.
		if err := d.vault.Fill(func(company sync.Key) []demo.Secret {
			for _, owner := range d.secrets {
				if owner == company {
					return nil
				}
			}
			s := demo.Secret{Name: "admin", Content: crand.Text()}
			d.secrets[s.Content] = company
			changed++
			return []demo.Secret{s}
		}); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			id := 101 + random.IntN(30)
			switch random.IntN(8) {
			case 0, 1, 2:
				w.Rename(id, randomNames[random.IntN(len(randomNames))])
			case 3:
				w.SetTypes(id, w.types[[]string{"Customer", "Prospect"}[random.IntN(2)]])
			case 4:
				w.SetTypes(id)
			case 5:
				w.SetStatus(id, w.statuses[[]string{"Active", "Inactive"}[random.IntN(2)]])
			case 6:
				w.Delete(id)
			case 7:
				w.Restore(id)
			}
		}
		names := []string{"Active", "Inactive", "On hold", "active"}
		w.RenameStatus(w.statuses["Active"], names[random.IntN(len(names))])
		w.RenameStatus(w.statuses["Inactive"], names[random.IntN(len(names))])
	}
	if len(d.secrets) < 30 {
		t.Fatalf("only %d company folders got a secret", changed)
	}
}

// keeper knows whose each secret is, by its content.
type keeper struct {
	vault   demo.Vault
	secrets map[string]sync.Key
}

// checkSecrets sees that every secret is still there, in its company's folder.
func (k *keeper) checkSecrets() error {
	left := maps.Clone(k.secrets)
	err := k.vault.Each(func(company sync.Key, content string) error {
		if owner := left[content]; owner != company {
			return fmt.Errorf("a secret of %q is in the folder of %s", owner, company)
		}
		delete(left, content)
		return nil
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d secrets are gone", len(left))
	}
	return err
}
