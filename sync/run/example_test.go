package run_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"cwvault/sync"
	"cwvault/sync/journal"
	"cwvault/sync/report"
	"cwvault/sync/run"
	"cwvault/sync/synctest"
	"cwvault/vault/vaulttest"
)

// site is a ConnectWise that always lists the same companies. A real one is a
// connectwise.Client.
type site struct{ source sync.Source }

func (s site) Source(context.Context) (sync.Source, error) { return s.source, nil }

// options puts together all that a run needs, for a world as text. The vault is
// one in memory, and the journal a file in dir.
func options(dir, world string) run.Options {
	w, err := synctest.Parse(world)
	if err != nil {
		log.Fatal(err)
	}
	structure, err := sync.ParseStructure(`$TYPE`)
	if err != nil {
		log.Fatal(err)
	}
	name, err := sync.ParseNameTemplate(`$NAME`)
	if err != nil {
		log.Fatal(err)
	}
	clock := func() time.Time { return time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) }
	j, err := journal.Open(context.Background(), filepath.Join(dir, "cwvault.db"), journal.Options{Now: clock})
	if err != nil {
		log.Fatal(err)
	}
	return run.Options{
		Source: site{w.Source()}, Vault: vaulttest.DrawnMemory("acme", w.Vault), Journal: j, Clock: clock,
		Installation: run.Installation{Tenant: "acme", Vault: "https://vault.example.com", Root: `\Clients`},
		Settings:     sync.Settings{Structure: structure, Name: name, Access: sync.AccessHold},
	}
}

// Bolt became a customer, and Cog is new. One run moves the one folder, with the
// secrets in it, and makes the other.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	opt := options(dir, `
-- companies --
250  alovet  "Alovet, Inc."  Customer  Active
251  bolt    Bolt            Customer  Active
252  cog     Cog             Prospect  Active
-- vault --
Customer [group/type:1]
  Alovet, Inc. [company/250]
Prospect [group/type:2]
  Bolt [company/251]
    * bolt-admin
`)
	defer opt.Journal.Close()

	ending := run.New(opt).Run(context.Background(), run.Request{}, "by hand")
	if ending.Err != nil {
		log.Fatal(ending.Err) // before the first step; run.CauseOf says why
	}
	if err := report.Text(os.Stdout, ending.Proposal.Plan, false); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("\nRun %d is %s. The vault is now:\n\n", ending.Number, ending.Outcome())
	fmt.Print(opt.Vault)
	// Output:
	// Plan 4791d5ed9455e0aba42e683cdcd6e45594a40308beb5739f93c1e4f8b7794ce0
	// acme of https://vault.example.com, below \Clients
	//
	// Create 1 folder
	//   + \Clients\Prospect\Cog  new company
	//
	// Move 1 folder
	//   > \Clients\Prospect\Bolt
	//     -> \Clients\Customer\Bolt  type changed from Prospect to Customer
	//
	// 1 to create, 1 to move, 0 held, 0 departed, 3 unchanged
	//
	// Run 1 is done. The vault is now:
	//
	// Customer [group/type:1]
	//   Alovet, Inc. [company/250]
	//   Bolt [company/251]
	//     * bolt-admin
	// Prospect [group/type:2]
	//   Cog [company/252]
}

// Bolt became a customer, and everybody can see the customers. The settings hold
// such a move until a person approves the plan that makes it.
func ExampleRunner_Propose() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	opt := options(dir, `
-- companies --
251  bolt  Bolt  Customer  Active
-- vault --
Customer [group/type:1; readers: Everybody]
Prospect [group/type:2; readers: Sales]
  Bolt [company/251]
`)
	defer opt.Journal.Close()
	runner := run.New(opt)

	proposal, err := runner.Propose(context.Background(), run.Request{}) // a dry run: it changes nothing
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range proposal.Held {
		fmt.Println("held:", h.Reason)
	}

	// A person has looked at the plan. Should it be another one by now, the run is
	// refused with run.CauseStale.
	ending := runner.Run(context.Background(), run.Request{Approve: proposal.ID}, "by hand")
	if ending.Err != nil {
		log.Fatal(ending.Err)
	}
	for i, step := range ending.Run.Steps {
		fmt.Println(ending.Run.Results[i].Status+":", step.Op, step.To)
	}
	// Output:
	// held: the move to \Clients\Customer\Bolt would give access to Everybody
	// done: move \Clients\Customer\Bolt
}
