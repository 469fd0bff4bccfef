package tickets_test

import (
	"fmt"

	"cwvault/scheduler/tickets"
	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// A run made all its steps, and holds two companies that have no type.
func ExampleProblems() {
	plan := sync.Plan{ID: "beef", Held: []sync.Held{
		{Code: sync.HeldNoType, Key: "company/2", Company: &sync.PlanCompany{ID: 2, Name: "Acme"}, Reason: "the company has no type"},
		{Code: sync.HeldNoType, Key: "company/4", Company: &sync.PlanCompany{ID: 4, Name: "Drake"}, Reason: "the company has no type"},
	}}
	for _, p := range tickets.Problems(run.Ending{Run: &report.Run{Plan: plan, Outcome: report.Done}}) {
		fmt.Printf("%s: %s\n%s\n", p.Key, p.Title, p.Means)
		for _, item := range p.Items {
			fmt.Printf("- %s: %s\n", item.Name, item.Text)
		}
		fmt.Println(p.Fix)
	}
	// Output:
	// held/no-type: companies without a type have no place (no-type)
	// The folder structure needs a type to place them.
	// - company 2 "Acme": the company has no type
	// - company 4 "Drake": the company has no type
	// Give the company a type in ConnectWise, or name a group for companies without one with CWVAULT_MISSING.
}
