package report_test

import (
	"fmt"
	"log"
	"strings"

	"cwvault/sync"
	"cwvault/sync/report"
)

// Bolt became a customer. Its folder must move, and one company is explained.
func ExampleExplain() {
	customer, prospect, active := sync.Ref{ID: 1, Name: "Customer"}, sync.Ref{ID: 2, Name: "Prospect"}, sync.Ref{ID: 1, Name: "Active"}
	source := sync.Source{
		Types: []sync.Ref{customer, prospect}, Statuses: []sync.Ref{active}, Count: 1,
		Companies: []sync.Company{{ID: 251, Identifier: "bolt", Name: "Bolt", Types: []sync.Ref{customer}, Status: active}},
	}
	structure, err := sync.ParseStructure(`$TYPE`)
	if err != nil {
		log.Fatal(err)
	}
	name, err := sync.ParseNameTemplate(`$NAME`)
	if err != nil {
		log.Fatal(err)
	}
	names := sync.NameRules{Fold: strings.ToLower, Form: func(s string) string { return s }}
	wanted, err := sync.Want(source, sync.Settings{Structure: structure, Name: name}, names)
	if err != nil {
		log.Fatal(err)
	}
	mark := func(key sync.Key) sync.Mark { return sync.Mark{Tenant: "acme", Key: key} }
	tree := sync.Tree{
		Root: sync.Folder{ID: "1"}, RootPath: `\Clients`,
		Folders: []sync.Folder{
			{ID: "2", ParentID: "1", Name: "Prospect", Mark: mark("group/type:2")},
			{ID: "3", ParentID: "2", Name: "Bolt", Mark: mark("company/251")},
		},
	}
	program, err := sync.MakePlan(wanted, sync.World{Tenant: "acme", Tree: tree})
	if err != nil {
		log.Fatal(err)
	}

	companies := report.Explain(report.Situation{
		Wanted: wanted, Structure: structure, Companies: source.Companies, Tree: tree, Plan: program.Plan,
	})
	for _, c := range companies {
		fmt.Println(c.Name, "is", c.State())
		fmt.Print(report.FactText(c.Facts()))
	}
	// Output:
	// Bolt is pending
	// key           company/251
	// company       Bolt (bolt)
	// status        Active (1)
	// types         Customer (1)
	// belongs in    \Clients\Customer, by CWVAULT_FOLDER_STRUCTURE=$TYPE
	// folder        \Clients\Prospect\Bolt (id 3)
	// next          move to \Clients\Customer\Bolt: type changed from Prospect to Customer
}
