package secretserver_test

import (
	"context"
	"fmt"
	"log"

	"cwvault/sync"
	"cwvault/vault/secretserver"
	"cwvault/vault/secretserver/secretservertest"
)

// A folder is created with its mark, and renamed. The mark, not the name, says
// to which company it belongs.
func ExampleVault() {
	server, err := secretservertest.New(secretservertest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Grant(server.AddFolder(-1, "Clients"), secretservertest.DefaultUsername, "Owner", "List")

	v, err := secretserver.New(secretserver.Config{
		URL: server.URL(), Username: secretservertest.DefaultUsername, Password: secretservertest.DefaultPassword, Root: `\Clients`,
	})
	if err != nil {
		log.Fatal(err) // a sync.Problems: every field that is wrong
	}
	defer v.Close()
	ctx := context.Background()
	if err := v.Ready(ctx); err != nil { // signs in; no other synchronization works on the root
		log.Fatal(err)
	}
	tree, err := v.Tree(ctx)
	if err != nil {
		log.Fatal(err)
	}
	mark := sync.Mark{Tenant: "acmeinc", Key: sync.CompanyKey(250)}
	folder, err := v.Create(ctx, tree.Root.ID, "Acme", mark)
	if err != nil {
		log.Fatal(err)
	}
	if _, err = v.Update(ctx, folder.ID, tree.Root.ID, "Acme, Inc."); err != nil {
		log.Fatal(err)
	}
	if tree, err = v.Tree(ctx); err != nil {
		log.Fatal(err)
	}
	for _, f := range tree.Folders {
		fmt.Printf("%s\\%s is marked %s\n", tree.RootPath, f.Name, f.Mark)
	}
	// Output:
	// \Clients\Acme, Inc. is marked acmeinc company/250
}

// Check looks at everything that a run depends on and changes nothing.
func ExampleVault_Check() {
	server, err := secretservertest.New(secretservertest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Grant(server.AddFolder(-1, "Clients"), secretservertest.DefaultUsername, "View", "List")
	v, err := secretserver.New(secretserver.Config{
		URL: server.URL(), Username: secretservertest.DefaultUsername, Password: secretservertest.DefaultPassword, Root: `\Clients`,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	for _, finding := range v.Check(context.Background()) {
		if finding.Err != nil { // a run would fail, for this reason
			fmt.Printf("%s: %s (%v)\n", finding.Subject, finding.Text, finding.Err)
		}
	}
	// Output:
	// root folder: on \Clients the account lacks CreateSubfolder, EditFolder, MoveFolder; it needs to be Owner there (not allowed)
}
