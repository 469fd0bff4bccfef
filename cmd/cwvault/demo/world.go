package demo

import (
	"fmt"
	"strings"
	"unicode"

	"cwvault/connectwise/connectwisetest"
)

// customers is how many customers the demo's ConnectWise has at first.
const customers = 320

// world is the ConnectWise of an imaginary service provider.
type world struct {
	server *connectwisetest.Server

	customer, prospect, vendor, partner int // types
	active, inactive, hold              int // statuses
	territories                         []int
	ids                                 []int // of the companies, in the order of their making
	names                               map[int]string
	next                                int
}

// Names are put together from these lists. None is meant to be a real company.
var (
	firstNames = []string{
		"Alder", "Birchwood", "Cobalt", "Dunmore", "Eastgate", "Fairhaven", "Granite", "Harbour", "Ironbridge", "Juniper",
		"Kestrel", "Larkspur", "Meridian", "Northwind", "Oakhurst", "Pinnacle", "Quayside", "Redfern", "Silverlake", "Thornbury",
		"Upland", "Valemont", "Westbrook", "Yarrow", "Zephyr", "Ashdown", "Bluestone", "Copperfield", "Driftwood", "Elmstead",
		"Foxglove", "Greyfriars",
	}
	secondNames = []string{
		"Dental Care", "Legal LLP", "Manufacturing", "Logistics", "Veterinary Clinic", "Architects", "Accounting", "Property Group",
		"Foods", "Engineering", "Family Practice", "Insurance", "Builders", "Credit Union", "Schools", "Hospitality",
	}
	// OddNames are names that a careless tool stumbles over.
	OddNames = []string{
		"Müller & Söhne GmbH", "Café Zoë", "Smith/Jones Partners", `Back\slash Studios`, "AT Systems, Inc. (East)", "O'Brien & Daughters",
		"日本橋商店", "Ελληνικά Τρόφιμα", "Łódź Logistyka Sp. z o.o.", "Ångström Labs", "  Spaced   Out  Ltd ", "شركة النخيل",
		"100% Organic", "#1 Plumbing", "Who? What! LLC", "..", ".git", "C++ Consulting: Embedded", "Tab\tand Line\nBreak Co", "Zero\u200bWidth Inc",
		"The Very Long Named Association for the Advancement of Mutual Understanding between Chambers of Commerce, Industry, Crafts and Agriculture of the Northern and the Southern Provinces and All of Their Affiliated Members, Guests, Friends, and Successors in Title since 1899",
	}
)

func newWorld(server *connectwisetest.Server) *world {
	w := &world{server: server, names: map[int]string{}}
	w.customer, w.prospect = server.AddType("Customer"), server.AddType("Prospect")
	w.vendor, w.partner = server.AddType("Vendor"), server.AddType("Partner")
	w.active, w.inactive, w.hold = server.AddStatus("Active"), server.AddStatus("Inactive"), server.AddStatus("Credit Hold")
	for _, name := range []string{"North", "South", "Overseas"} {
		w.territories = append(w.territories, server.AddTerritory(name))
	}
	for _, name := range OddNames {
		w.add(name, w.customer)
	}
	twin := "Harbour Dental Care" // a second company of a name that comes up again below
	w.add(twin, w.customer)
	w.server.SetTypes(w.add("Nobody Knows What This Is", w.customer)) // no type: held
	for w.next < customers {
		w.addNext()
	}
	return w
}

// addNext adds another company from the lists, of the next kind.
func (w *world) addNext() int {
	n := w.next
	name := firstNames[n%len(firstNames)] + " " + secondNames[(n/len(firstNames)+n)%len(secondNames)]
	switch n % 10 {
	case 3, 6:
		return w.add(name, w.prospect)
	case 8:
		return w.add(name, w.vendor)
	case 9:
		return w.add(name, w.partner, w.customer)
	}
	return w.add(name, w.customer)
}

func (w *world) add(name string, types ...int) int {
	n := w.next
	w.next++
	status := w.active
	switch {
	case n%17 == 16:
		status = w.inactive
	case n%29 == 28:
		status = w.hold
	}
	id := w.server.AddCompany(connectwisetest.Company{
		Identifier: identifier(name, n), Name: name, Types: types, Status: status, Territory: w.territories[n%len(w.territories)],
	})
	w.ids = append(w.ids, id)
	w.names[id] = name
	return id
}

// identifier makes a company id as people type them: letters of the name
// and a number.
func identifier(name string, n int) string {
	letters := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return -1
	}, name)
	return fmt.Sprintf("%s%03d", letters[:min(len(letters), 12)], n)
}

// month is what happens in ConnectWise in one month. It returns what to tell.
func (w *world) month() []string {
	var story []string
	tell := func(format string, args ...any) { story = append(story, fmt.Sprintf(format, args...)) }
	var customers, prospects []int
	for _, c := range w.server.Companies() {
		switch {
		case len(c.Types) == 0 || c.Status != w.active || c.ID <= w.ids[len(OddNames)+1]:
		case c.Types[0] == w.customer:
			customers = append(customers, c.ID)
		case c.Types[0] == w.prospect:
			prospects = append(prospects, c.ID)
		}
	}
	for range 9 {
		w.addNext()
	}
	tell("9 new companies were added")
	for i, suffix := range []string{" Group", " Holdings", ", Inc.", " International"} {
		id := customers[10*i]
		w.rename(id, w.names[id]+suffix)
	}
	tell("4 customers were renamed, such as %q", w.names[customers[0]])
	a, b := customers[1], customers[2]
	nameA, nameB := w.names[a], w.names[b]
	w.rename(a, nameB)
	w.rename(b, nameA)
	tell("%q and %q turned out to be entered the wrong way round and swapped names", nameA, nameB)
	for _, id := range prospects[:11] {
		w.server.SetTypes(id, w.customer)
	}
	tell("11 prospects were won and became customers")
	for i := range 6 {
		w.server.SetStatus(customers[20+i], w.inactive)
	}
	tell("6 customers were lost and set to inactive")
	w.server.RenameStatus(w.inactive, "Former")
	tell("the status Inactive was renamed to Former")
	w.server.Delete(customers[30])
	tell("%q was deleted", w.names[customers[30]])
	return story
}

func (w *world) rename(id int, name string) {
	w.names[id] = name
	w.server.Rename(id, name)
}
