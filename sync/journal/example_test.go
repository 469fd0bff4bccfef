package journal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"cwvault/sync"
	"cwvault/sync/journal"
)

// A run records what it does, and the next run recalls what it left.
func Example() {
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "journal")
	must(err)
	defer os.RemoveAll(dir)

	j, err := journal.Open(ctx, filepath.Join(dir, "cwvault.db"), journal.Options{})
	must(err)
	defer j.Close() // releases the lease too
	_, err = j.Acquire(ctx, journal.Self())
	must(err)

	before, err := j.Recall(ctx)
	must(err)
	fmt.Println("known places before the run:", len(before.Places))

	run, err := j.StartRun(ctx, journal.Run{Trigger: "manual"})
	must(err)
	must(j.Begin(ctx, run, 0, journal.StepRecord{
		Op: "create", Key: "company/250", Parent: sync.RootKey, Name: "Alovet", To: `\Clients\Alovet`,
	}))
	// Here the run creates the folder in the vault.
	must(j.End(ctx, run, 0, "done", "4711", ""))

	must(j.Conclude(ctx, run, journal.Lessons{
		Finish: journal.Finish{Outcome: "done", Good: true, Companies: 1},
		Places: []journal.KnownPlace{{Key: "company/250", FolderID: "4711", Parent: sync.RootKey, Name: "Alovet", Path: `\Clients\Alovet`}},
	}))

	after, err := j.Recall(ctx)
	must(err)
	fmt.Println("company/250 is at", after.Places["company/250"].Path)
	fmt.Println("companies in the last good run:", after.LastGood.Companies)
	// Output:
	// known places before the run: 0
	// company/250 is at \Clients\Alovet
	// companies in the last good run: 1
}
