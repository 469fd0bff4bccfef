package sync_test

import (
	"fmt"
	"log"
	"strings"

	"cwvault/sync"
)

// Alovet became a customer, and Bolt is new. Alovet would move to where others can
// see it. The settings hold such moves until a person approves the plan; the rest
// can be applied.
func ExampleDecide() {
	customer, prospect, active := sync.Ref{ID: 1, Name: "Customer"}, sync.Ref{ID: 2, Name: "Prospect"}, sync.Ref{ID: 1, Name: "Active"}
	source := sync.Source{
		Types: []sync.Ref{customer, prospect}, Statuses: []sync.Ref{active}, Count: 2,
		Companies: []sync.Company{
			{ID: 250, Identifier: "alovet", Name: "Alovet", Types: []sync.Ref{customer}, Status: active},
			{ID: 251, Identifier: "bolt", Name: "Bolt", Types: []sync.Ref{prospect}, Status: active},
		},
	}
	structure, err := sync.ParseStructure(`$TYPE`)
	if err != nil {
		log.Fatal(err)
	}
	name, err := sync.ParseNameTemplate(`$NAME`)
	if err != nil {
		log.Fatal(err)
	}
	settings := sync.Settings{Structure: structure, Name: name, Access: sync.AccessHold}
	same := func(s string) string { return s }
	names := sync.NameRules{Fold: strings.ToLower, Form: same}

	mark := func(key sync.Key) sync.Mark { return sync.Mark{Tenant: "acme", Key: key} }
	world := sync.World{Tenant: "acme", Tree: sync.Tree{
		Root: sync.Folder{ID: "1"}, RootPath: `\Clients`,
		Folders: []sync.Folder{
			{ID: "2", ParentID: "1", Name: "Prospect", Mark: mark("group/type:2")},
			{ID: "3", ParentID: "2", Name: "Alovet", Mark: mark("company/250"), Inherits: true},
		},
	}}
	audience := func(folders []string) (map[string][]string, error) { // a vault would be asked here
		return map[string][]string{"1": {"Everybody"}, "2": {"Sales"}}, nil
	}

	wanted, err := sync.Want(source, settings, names)
	if err != nil {
		log.Fatal(err)
	}
	program, err := sync.Decide(wanted, world, audience, sync.Guards(settings, ""), sync.Access(settings, ""))
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range program.Steps {
		fmt.Println(s.Op, s.To+":", s.Reason)
	}
	for _, h := range program.Held {
		fmt.Println("held", h.Path+":", h.Reason)
	}
	// Output:
	// create \Clients\Prospect\Bolt: new company
	// held \Clients\Prospect\Alovet: the move to \Clients\Customer\Alovet would give access to Everybody
}
