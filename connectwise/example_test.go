package connectwise_test

import (
	"context"
	"fmt"
	"log"

	"cwvault/connectwise"
	"cwvault/connectwise/connectwisetest"
)

// Everything that a run needs of ConnectWise is read at once: the companies
// that are not deleted, and the tables of statuses and types.
func ExampleClient() {
	server, err := connectwisetest.New(connectwisetest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	active, customer := server.AddStatus("Active"), server.AddType("Customer")
	server.AddCompany(connectwisetest.Company{Name: "Acme", Status: active, Types: []int{customer}})
	server.AddCompany(connectwisetest.Company{Name: "Bolt", Status: active})
	server.AddFault(connectwisetest.Fault{Status: 503, Times: 1}) // the client retries

	client, err := connectwise.New(connectwise.Config{
		URL: server.URL(), CompanyID: server.Tenant(),
		PublicKey: server.PublicKey(), PrivateKey: server.PrivateKey(), ClientID: server.ClientID(),
	})
	if err != nil {
		log.Fatal(err) // a sync.Problems: every field that is wrong
	}
	source, err := client.Source(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(source.Count, "companies")
	for _, company := range source.Companies {
		fmt.Println(company.ID, company.Name, company.Status.Name, company.Types)
	}
	// Output:
	// 2 companies
	// 250 Acme Active [{1 Customer}]
	// 251 Bolt Active []
}

// New names every field that is wrong, and sends nothing.
func ExampleNew() {
	_, err := connectwise.New(connectwise.Config{URL: "http://cw.example.com", CompanyID: "acme", PublicKey: "public", PrivateKey: "private"})
	fmt.Println(err)
	// Output:
	// URL: is plain http, which exposes the keys to the network; use https
	// ClientID: is empty; set it to the client id from developer.connectwise.com
}
