package sync_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"cwvault/sync"
	"cwvault/vault"
)

const benchCompanies = 100_000

// benchRules are those of a vault with a limit that names rarely meet.
var benchRules = sync.NameRules{MaxLength: 50, Forbidden: `/:*?"<>|`, Fold: vault.Fold, Form: vault.Form}

// benchWorld is a ConnectWise of n companies with eight types and six statuses,
// and a vault that was in step with it until 1 % of the companies changed: a
// third renamed, a third with another status, a third new. The strings are not
// shared between the two, as they are not in life.
func benchWorld(tb testing.TB, n int) (src sync.Source, tree sync.Tree, settings sync.Settings) {
	tb.Helper()
	st, err := sync.ParseStructure(`$TYPE\$STATUS`)
	if err != nil {
		tb.Fatal(err)
	}
	nt, err := sync.ParseNameTemplate("$NAME")
	if err != nil {
		tb.Fatal(err)
	}
	settings = sync.Settings{Structure: st, Name: nt}
	for i, name := range []string{"Customer", "Prospect", "Vendor", "Partner", "Competitor", "Former customer", "Lead", "Supplier"} {
		src.Types = append(src.Types, sync.Ref{ID: i + 1, Name: name})
	}
	for i, name := range []string{"Active", "Inactive", "Lost", "Credit hold", "Delinquent", "Imported"} {
		src.Statuses = append(src.Statuses, sync.Ref{ID: i + 1, Name: name})
	}
	src.Count = n
	tree = sync.Tree{Root: sync.Folder{ID: "1"}, RootPath: `\Clients`}
	id := 1
	add := func(parent, name string, key sync.Key) string {
		id++
		f := sync.Folder{ID: fmt.Sprint(id), ParentID: parent, Name: name, Mark: sync.Mark{Tenant: testTenant, Key: key}, Inherits: true}
		tree.Folders = append(tree.Folders, f)
		return f.ID
	}
	groups := map[[2]int]string{}
	for _, t := range src.Types {
		above := add("1", t.Name, sync.Key(fmt.Sprintf("group/type:%d", t.ID)))
		for _, s := range src.Statuses {
			groups[[2]int{t.ID, s.ID}] = add(above, s.Name, sync.Key(fmt.Sprintf("group/type:%d/status:%d", t.ID, s.ID)))
		}
	}
	first := []string{"Northwind", "Contoso", "Alovet", "Müller & Söhne", "Smith and", "Lakeside", "Harbour", "Prime"}
	last := []string{"Trading Ltd", "Dental Group", "Logistics, Inc.", "Consulting GmbH", "Law Offices LLP", "Property", "School District", "Foods Co."}
	for i := 1; i <= n; i++ {
		c := sync.Company{ID: 19000 + i, Identifier: fmt.Sprintf("company%d", i), Name: fmt.Sprintf("%s %s %d", first[i%8], last[i/8%8], i)}
		c.Types = []sync.Ref{src.Types[i%7%8]}
		c.Status = src.Statuses[i%11%6]
		c.Territory = sync.Ref{ID: 1 + i%5, Name: fmt.Sprintf("Territory %d", 1+i%5)}
		parent, name := groups[[2]int{c.Types[0].ID, c.Status.ID}], c.Name
		switch change := i % 100; {
		case change == 0 && i%3 == 0:
			name += " (old)"
		case change == 0 && i%3 == 1:
			parent = groups[[2]int{c.Types[0].ID, c.Status.ID%6 + 1}]
		}
		if i%100 != 0 || i%3 != 2 {
			add(parent, fmt.Sprint(name), sync.Key(fmt.Sprintf("company/%d", c.ID)))
		}
		src.Companies = append(src.Companies, c)
	}
	return src, tree, settings
}

// benchKnown is what a journal remembers of that vault.
func benchKnown(tree sync.Tree) map[sync.Key]sync.Place {
	keys := map[string]sync.Key{tree.Root.ID: sync.RootKey}
	for _, f := range tree.Folders {
		keys[f.ID] = f.Mark.Key
	}
	known := map[sync.Key]sync.Place{}
	for _, f := range tree.Folders {
		known[f.Mark.Key] = sync.Place{Parent: keys[f.ParentID], Name: f.Name}
	}
	return known
}

// wireCompany is what is asked of ConnectWise for each company.
type wireCompany struct {
	ID          int       `json:"id"`
	Identifier  string    `json:"identifier"`
	Name        string    `json:"name"`
	Status      wireRef   `json:"status"`
	Types       []wireRef `json:"types"`
	Territory   wireRef   `json:"territory"`
	Market      wireRef   `json:"market"`
	DeletedFlag bool      `json:"deletedFlag"`
}

type wireRef struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// benchPages is the same companies as ConnectWise sends them: pages of a
// thousand, with the fields that are asked for and nothing else.
func benchPages(tb testing.TB, src sync.Source) [][]byte {
	tb.Helper()
	var pages [][]byte
	for companies := src.Companies; len(companies) > 0; {
		n := min(1000, len(companies))
		page := make([]wireCompany, n)
		for i, c := range companies[:n] {
			page[i] = wireCompany{ID: c.ID, Identifier: c.Identifier, Name: c.Name, Status: wireRef(c.Status),
				Types: []wireRef{wireRef(c.Types[0])}, Territory: wireRef(c.Territory), Market: wireRef{ID: 3, Name: "Healthcare"}}
		}
		companies = companies[n:]
		b, err := json.Marshal(page)
		if err != nil {
			tb.Fatal(err)
		}
		pages = append(pages, b)
	}
	return pages
}

func decodePages(tb testing.TB, pages [][]byte) (n int) {
	for _, page := range pages {
		var companies []wireCompany
		if err := json.NewDecoder(bytes.NewReader(page)).Decode(&companies); err != nil {
			tb.Fatal(err)
		}
		n += len(companies)
	}
	return n
}

func benchPlan(tb testing.TB, src sync.Source, tree sync.Tree, settings sync.Settings, known map[sync.Key]sync.Place) (sync.Wanted, sync.Program) {
	wanted, err := sync.Want(src, settings, benchRules)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := sync.MakePlan(wanted, sync.World{Tenant: testTenant, Tree: tree, Known: known})
	if err != nil {
		tb.Fatal(err)
	}
	return wanted, p
}

// BenchmarkPlan100k plans 100,000 companies against as many folders, of which
// 1 % changed: Want and MakePlan. It is to take no more than half of the time of
// BenchmarkDecodeJSON100k. heap-B/company is all that is alive then: companies,
// folders, the wanted tree and the plan.
func BenchmarkPlan100k(b *testing.B) {
	before := liveHeap()
	src, tree, settings := benchWorld(b, benchCompanies)
	wanted, p := benchPlan(b, src, tree, settings, nil)
	changed := p.Counts.Rename + p.Counts.Move + p.Counts.Create
	if changed != benchCompanies/100 || p.Counts.Rename == 0 || p.Counts.Move == 0 || p.Counts.Create == 0 || len(p.Held) > 0 {
		b.Fatalf("the plan has %+v", p.Counts)
	}
	perCompany := float64(liveHeap()-before) / benchCompanies
	runtime.KeepAlive(wanted)
	runtime.KeepAlive(p)
	known := benchKnown(tree)
	b.ReportAllocs()
	for b.Loop() {
		benchPlan(b, src, tree, settings, known)
	}
	b.ReportMetric(perCompany, "heap-B/company")
	runtime.KeepAlive(tree)
	runtime.KeepAlive(src)
}

// BenchmarkDecodeJSON100k is what planning is compared with: the standard
// library reading the same companies.
func BenchmarkDecodeJSON100k(b *testing.B) {
	src, _, _ := benchWorld(b, benchCompanies)
	pages := benchPages(b, src)
	b.ReportAllocs()
	for b.Loop() {
		if n := decodePages(b, pages); n != benchCompanies {
			b.Fatalf("decoded %d", n)
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one only unlinked
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPlanCosts sees that planning stays cheap beside reading: no more CPU than
// decoding the companies' JSON, and less than 1 KiB of heap for each company.
// The fastest of several turns counts, so that a busy machine does not fail it.
func TestPlanCosts(t *testing.T) {
	if raceDetector || os.Getenv("CWVAULT_TEST_MEASURE") != "1" {
		t.Skip("measures time; .ci/run runs it with CWVAULT_TEST_MEASURE=1, without the race detector")
	}
	const n = 20_000
	before := liveHeap()
	src, tree, settings := benchWorld(t, n)
	wanted, p := benchPlan(t, src, tree, settings, nil)
	if per := float64(liveHeap()-before) / n; per > 1024 {
		t.Errorf("%.0f bytes of heap a company", per)
	}
	runtime.KeepAlive(wanted)
	runtime.KeepAlive(p)
	pages := benchPages(t, src)
	fastest := func(do func()) time.Duration {
		best := time.Hour
		for range 7 {
			start := time.Now()
			do()
			best = min(best, time.Since(start))
		}
		return best
	}
	known := benchKnown(tree)
	plan := fastest(func() { benchPlan(t, src, tree, settings, known) })
	decode := fastest(func() { decodePages(t, pages) })
	t.Logf("plan %v, decode %v, ratio %.2f", plan, decode, float64(plan)/float64(decode))
	if plan > decode {
		t.Errorf("planning takes %v, decoding %v", plan, decode)
	}
}
