package passwordstore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"cwvault/sync"
	"cwvault/vault/passwordstore"
)

// A folder is a directory with a mark in it, next to the secrets of pass.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := passwordstore.Open(passwordstore.Config{Dir: dir, Root: `\Clients`})
	if err != nil {
		log.Fatal(err) // a sync.Problems: every field that is wrong
	}
	defer store.Close()

	ctx := context.Background()
	root, err := store.CreateRoot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	folder, err := store.Create(ctx, root.ID, "Acme", sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(250)})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Mark(ctx, folder.ID, sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(251)}); err != nil {
		log.Fatal(err)
	}
	tree, err := store.Tree(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range tree.Folders {
		fmt.Printf("%s\\%s is marked %s\n", tree.RootPath, f.Name, f.Mark)
	}
	// Output:
	// \Clients\Acme is marked acmeinc company/251
}
