package sync_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// planCase is a world, the plan for it, and the vault once that is applied.
// An empty vault afterwards stands for the vault as it was.
type planCase struct {
	text
	plan  string
	after string
}

// known is a journal that remembers places: key, parent key, name.
func known(places ...[3]string) func(*sync.World) {
	return func(w *sync.World) {
		w.Known = map[sync.Key]sync.Place{}
		for _, p := range places {
			w.Known[sync.Key(p[0])] = sync.Place{Parent: sync.Key(p[1]), Name: p[2]}
		}
	}
}

func adopt(s *sync.Settings)   { s.Adopt = true }
func archive(s *sync.Settings) { s.Archive = "_Archive" }

// planCases are named after the rules of DESIGN section 3.
var planCases = map[string]planCase{
	"1 identity: renamed, found by its mark": {
		text: text{
			companies: `250 alovet "Alovet, Inc." Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Alovet [company/250]
				      Firewall`,
		},
		plan: `rename company/250 \Customer\Active\Alovet -> \Customer\Active\Alovet, Inc.: name changed`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Alovet, Inc. [company/250]
			      Firewall`,
	},
	"1 identity: the same name does not make a folder ours": {
		text: text{
			companies: `
				1 one Acme Customer Active
				2 two Bolt Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/2]
				    Bolt [company/1]`,
		},
		plan: `
			rename company/1 \Customer\Active\Bolt -> \Customer\Active\Acme via \Customer\Active\Acme (moving #1): name changed
			rename company/2 \Customer\Active\Acme -> \Customer\Active\Bolt: name changed`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			    Bolt [company/2]`,
	},
	"2 structure: an empty vault": {
		text: text{companies: `
			1 one Acme Customer Active
			2 two Bolt Customer Inactive`},
		plan: `
			create group/type:1 \Customer: group folder for type Customer
			create group/type:1/status:1 \Customer\Active: group folder for status Active
			create group/type:1/status:2 \Customer\Inactive: group folder for status Inactive
			create company/1 \Customer\Active\Acme: new company
			create company/2 \Customer\Inactive\Bolt: new company`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			  Inactive [group/type:1/status:2]
			    Bolt [company/2]`,
	},
	"2 structure: text and several tokens in a level": {
		text: text{
			structure: `Clients/$COMPANYINITIAL/${TYPE}s - $STATUS`, name: "$NAME ($ID)",
			companies: `
				1 one Émile Customer Active
				2 two 3M Customer Active`,
		},
		plan: `
			create group/text:Clients \Clients: group folder for the text Clients
			create group/text:Clients/initial:3 \Clients\3: group folder for initial 3
			create group/text:Clients/initial:É \Clients\É: group folder for initial É
			create group/text:Clients/initial:3/type:1+status:1 \Clients\3\Customers - Active: group folder for type Customer, status Active
			create group/text:Clients/initial:É/type:1+status:1 \Clients\É\Customers - Active: group folder for type Customer, status Active
			create company/2 \Clients\3\Customers - Active\3M (2): new company
			create company/1 \Clients\É\Customers - Active\Émile (1): new company`,
		after: `
			Clients [group/text:Clients]
			  3 [group/text:Clients/initial:3]
			    Customers - Active [group/text:Clients/initial:3/type:1+status:1]
			      3M (2) [company/2]
			  É [group/text:Clients/initial:É]
			    Customers - Active [group/text:Clients/initial:É/type:1+status:1]
			      Émile (1) [company/1]`,
	},
	"2 structure: a renamed type is one step for all its companies": {
		text: text{
			types: "1 Client",
			companies: `
				1 one Acme Client Active
				2 two Bolt Client Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				    Bolt [company/2]`,
		},
		plan: `rename group/type:1 \Customer -> \Client: type renamed from Customer to Client`,
		after: `
			Client [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			    Bolt [company/2]`,
	},
	"2 structure: a renamed status that no company has just now": {
		text: text{
			statuses:  "1 Active\n2 Asleep",
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				  Inactive [group/type:1/status:2]`,
		},
		plan: `rename group/type:1/status:2 \Customer\Inactive -> \Customer\Asleep: status renamed from Inactive to Asleep`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			  Asleep [group/type:1/status:2]`,
	},
	"2 structure: two statuses swap their names": {
		text: text{
			statuses: "1 Inactive\n2 Active",
			companies: `
				1 one Acme Customer Inactive
				2 two Bolt Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				  Inactive [group/type:1/status:2]
				    Bolt [company/2]`,
		},
		plan: `
			rename group/type:1/status:1 \Customer\Active -> \Customer\Inactive via \Customer\Inactive (moving): status renamed from Active to Inactive
			rename group/type:1/status:2 \Customer\Inactive -> \Customer\Active: status renamed from Inactive to Active`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:2]
			    Bolt [company/2]
			  Inactive [group/type:1/status:1]
			    Acme [company/1]`,
	},
	"2 structure: a status made again under its old name is another one": {
		text: text{
			statuses:  "9 Active",
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]`,
		},
		plan: `
			create group/type:1/status:9 \Customer\Active (#9): group folder for status Active; the name "Active" is taken by the folder of group/type:1/status:1
			move company/1 \Customer\Active\Acme -> \Customer\Active (#9)\Acme: status changed from status 1 to Active`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			  Active (#9) [group/type:1/status:9]
			    Acme [company/1]`,
	},
	"2 structure: another one": {
		text: text{
			structure: `$STATUS\$TYPE`,
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]`,
		},
		plan: `
			create group/status:1 \Active: group folder for status Active
			create group/status:1/type:1 \Active\Customer: group folder for type Customer
			move company/1 \Customer\Active\Acme -> \Active\Customer\Acme: the folder structure changed`,
		after: `
			Active [group/status:1]
			  Customer [group/status:1/type:1]
			    Acme [company/1]
			Customer [group/type:1]
			  Active [group/type:1/status:1]`,
	},
	"2 structure: a key has one spelling": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:01]
				Lost [group/status:+3]
				Old [group/status:]`,
		},
		plan: `
			create group/status:1 \Active (#1): group folder for status Active; the name "Active" is taken by the folder of group/status:01
			create company/1 \Active (#1)\Acme: new company`,
		after: `
			Active [group/status:01]
			Active (#1) [group/status:1]
			  Acme [company/1]
			Lost [group/status:+3]
			Old [group/status:]`,
	},
	"3 several types: the lowest id, whatever the order of the reply": {
		text: text{
			companies: `
				1 one Acme Vendor,Prospect Active
				2 two Bolt Prospect,Vendor Active`,
			vault: `
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Acme [company/1]
				    Bolt [company/2]`,
		},
	},
	"3 several types: the first of CWVAULT_TYPE_PRIORITY": {
		text: text{
			set:       func(s *sync.Settings) { s.TypePriority = []string{"vendor", "1"} },
			companies: `1 one Acme Customer,Vendor Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				Vendor [group/type:3]
				  Active [group/type:3/status:1]`,
		},
		plan: `move company/1 \Customer\Active\Acme -> \Vendor\Active\Acme: type changed from Customer to Vendor`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			Vendor [group/type:3]
			  Active [group/type:3/status:1]
			    Acme [company/1]`,
	},
	"4 missing type or status: held where it is": {
		text: text{
			companies: `
				1 one Acme - Active
				2 two Bolt Customer -`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]`,
		},
		plan: `
			held no-type company/1 \Customer\Active\Acme: the company has no type, and no group is named for that
			held no-status company/2: the company has no status, and no group is named for that`,
	},
	"4 missing territory, market, parent": {
		text: text{
			structure: `$TERRITORY\$MARKET\$PARENT`,
			companies: `
				1 one Acme - - market="#1 Dental" parent="#2 Bolt"
				2 two Bolt - - territory="#1 North" parent="#2 Bolt"
				3 three Cork - - territory="#1 North" market="#1 Dental"`,
		},
		plan: `
			held no-territory company/1: the company has no territory, and no group is named for that
			held no-market company/2: the company has no market, and no group is named for that
			held no-parent company/3: the company has no parent, and no group is named for that`,
	},
	"4 missing: CWVAULT_MISSING names a group for them": {
		text: text{
			set:       func(s *sync.Settings) { s.Missing = "Unsorted" },
			companies: `1 one Acme - Active`,
		},
		plan: `
			create group/type:0 \Unsorted: group folder for type none
			create group/type:0/status:1 \Unsorted\Active: group folder for status Active
			create company/1 \Unsorted\Active\Acme: new company`,
		after: `
			Unsorted [group/type:0]
			  Active [group/type:0/status:1]
			    Acme [company/1]`,
	},
	"4 missing: and the group stays when none is named any more": {
		text: text{
			companies: `1 one Acme - Active`,
			vault: `
				Unsorted [group/type:0]
				  Active [group/type:0/status:1]
				    Acme [company/1]`,
		},
		plan: `held no-type company/1 \Unsorted\Active\Acme: the company has no type, and no group is named for that`,
	},
	"5 names: the lowest id keeps it, and the others do not depend on who came first": {
		text: text{
			structure: "$STATUS",
			companies: `
				3 three ACME - Active
				1 one Acme - Active
				2 two "Acme " - Active
				4 "Acme (two)" "Acme (three)" - Active`,
			vault: `
				Active [group/status:1]
				  ACME [company/3]`,
		},
		plan: `
			rename company/3 \Active\ACME -> \Active\ACME (#3): name changed; company 1 has the name "Acme" too and comes first
			create company/1 \Active\Acme: new company
			create company/4 \Active\Acme (three): new company
			create company/2 \Active\Acme (two): new company; company 1 has the name "Acme" too and comes first`,
		after: `
			Active [group/status:1]
			  ACME (#3) [company/3]
			  Acme [company/1]
			  Acme (three) [company/4]
			  Acme (two) [company/2]`,
	},
	"5 names: a change of case alone is a rename": {
		text: text{
			structure: "$STATUS",
			companies: `1 one ACME - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/1]`,
		},
		plan: `rename company/1 \Active\Acme -> \Active\ACME: name changed`,
		after: `
			Active [group/status:1]
			  ACME [company/1]`,
	},
	"5 names: groups of the same name": {
		text: text{
			types:     "1 Customer\n2 customer",
			structure: "$TYPE",
			companies: `
				1 one Acme Customer -
				2 two Acme customer -`,
		},
		plan: `
			create group/type:1 \Customer: group folder for type Customer
			create group/type:2 \customer (#2): group folder for type customer; folder group/type:1 has the name "Customer" too and comes first
			create company/1 \Customer\Acme: new company
			create company/2 \customer (#2)\Acme: new company`,
		after: `
			Customer [group/type:1]
			  Acme [company/1]
			customer (#2) [group/type:2]
			  Acme [company/2]`,
	},
	"5 names: all taken": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Acme - Active
				3 three "Acme (two)" - Active
				4 four "Acme (#2)" - Active`,
		},
		plan: `
			create group/status:1 \Active: group folder for status Active
			create company/1 \Active\Acme: new company
			create company/4 \Active\Acme (#2): new company
			create company/3 \Active\Acme (two): new company
			held name-collision company/2 \Active\Acme: the name "Acme" is taken, and so are the names that would tell it apart`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			  Acme (#2) [company/4]
			  Acme (two) [company/3]`,
	},
	"6 unmanaged in the way of a company": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			vault: `
				Active [group/status:1]
				  acme
				  Bolt old [company/2]
				  Bolt`,
		},
		plan: `
			held unmanaged-folder company/1 \Active\Acme: an unmanaged folder "acme" is there
			held unmanaged-folder company/2 \Active\Bolt old: an unmanaged folder "Bolt" is in the way`,
	},
	"6 unmanaged in the way of a group": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault:     `Customer`,
		},
		plan: `
			held unmanaged-folder group/type:1 \Customer: an unmanaged folder "Customer" is there
			held unmanaged-folder group/type:1/status:1 \Customer\Active: its group folder "Customer" cannot be made: an unmanaged folder "Customer" is there
			held unmanaged-folder company/1 \Customer\Active\Acme: its group folder "Active" cannot be made: its group folder "Customer" cannot be made: an unmanaged folder "Customer" is there`,
	},
	"6 unmanaged in the way of a second name": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				  Acme (two)`,
		},
		plan: `held unmanaged-folder company/2 \Active\Acme (two): an unmanaged folder "Acme (two)" is there`,
	},
	"6 adopt: groups and companies exactly where they should be": {
		text: text{
			set: adopt,
			companies: `
				1 one Acme Customer Active
				2 two Acme Customer Active
				3 three Cork Customer Active
				4 four Dent Customer Active`,
			vault: `
				Customer
				  Active
				    Acme [company/1]
				    Acme (two)
				      Router
				    cork
				    Dent`,
		},
		plan: `
			adopt group/type:1 \Customer: an unmanaged folder sits exactly where it should be
			adopt group/type:1/status:1 \Customer\Active: an unmanaged folder sits exactly where it should be
			adopt company/2 \Customer\Active\Acme (two): an unmanaged folder sits exactly where it should be
			adopt company/4 \Customer\Active\Dent: an unmanaged folder sits exactly where it should be
			held unmanaged-folder company/3 \Customer\Active\Cork: an unmanaged folder "cork" is there, written differently from "Cork", so that it is not adopted`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			    Acme (two) [company/2]
			      Router
			    Dent [company/4]
			    cork`,
	},
	"6 adopt: not when two companies have the name": {
		text: text{
			set:       adopt,
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme`,
		},
		plan: `
			create company/2 \Active\Acme (two): new company; company 1 has the name "Acme" too and comes first
			held unmanaged-folder company/1 \Active\Acme: an unmanaged folder "Acme" is there, and more than one has this name: whose it is cannot be told`,
		after: `
			Active [group/status:1]
			  Acme
			  Acme (two) [company/2]`,
	},
	"6 adopt: not by the second when the first is held": {
		text: text{
			set:       adopt,
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Acme - Active
				3 three Bolt - Active
				4 four Bolt - Active`,
			world: func(w *sync.World) {
				w.Hold = map[sync.Key]sync.Held{"company/3": {Code: sync.HeldPaused, Reason: "paused"}}
			},
			vault: `
				Active [group/status:1]
				  Acme
				  Acme before [company/1]
				  Bolt`,
		},
		plan: `
			create company/2 \Active\Acme (two): new company; company 1 has the name "Acme" too and comes first
			create company/4 \Active\Bolt (four): new company; company 3 has the name "Bolt" too and comes first
			held unmanaged-folder company/1 \Active\Acme before: an unmanaged folder "Acme" is in the way
			held paused company/3 \Active\Bolt: paused`,
		after: `
			Active [group/status:1]
			  Acme
			  Acme (two) [company/2]
			  Acme before [company/1]
			  Bolt
			  Bolt (four) [company/4]`,
	},
	"6 adopt: not when a company without a place has the name": {
		text: text{
			set: func(s *sync.Settings) { s.Adopt, s.Exclude = true, []string{"3"} },
			companies: `
				1 one Acme Customer Active
				2 two ACME - Active
				3 three Bolt Customer Active
				4 four Bolt Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme
				    Bolt`,
		},
		plan: `
			held unmanaged-folder company/1 \Customer\Active\Acme: an unmanaged folder "Acme" is there, and a company that has no place now has this name too: whose it is cannot be told
			held no-type company/2: the company has no type, and no group is named for that
			held excluded company/3: excluded by the settings
			held unmanaged-folder company/4 \Customer\Active\Bolt: an unmanaged folder "Bolt" is there, and a company that has no place now has this name too: whose it is cannot be told`,
	},
	"6 adopt: not when two folders have the name": {
		text: text{
			set:       adopt,
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme
				  ACME`,
		},
		plan: `held unmanaged-folder company/1 \Active\Acme: several folders named like "Acme" are there, so that none is adopted`,
	},
	"6 unmanaged twin of a folder that is in its place": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			vault: `
				Active [group/status:1]
				  ACME
				  Acme [company/1]
				  BOLT
				  Bolt then [company/2]`,
		},
		plan: `held unmanaged-folder company/2 \Active\Bolt then: an unmanaged folder "BOLT" is in the way`,
	},
	"6 foreign: another installation's folder is in the way": {
		text: text{
			set:       adopt,
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			vault: `
				Active [group/status:1]
				  Acme [other company/1]
				  Bolt [unreadable mark]`,
		},
		plan: `
			held foreign-mark company/1 \Active\Acme: folder "Acme" is in the way; it is marked by other company/1
			held foreign-mark company/2 \Active\Bolt: folder "Bolt" is in the way; it is a link, or its mark cannot be read`,
	},
	"6 foreign: two tenants in one root": {
		text: text{
			companies: `
				1 one Acme Customer Active
				2 two Bolt Prospect Active`,
			vault: `
				Customer [other group/type:1]
				  Active [other group/type:1/status:1]
				    Acme [other company/1]
				Prospect [group/type:2]
				  Active [group/type:2/status:1]`,
		},
		plan: `
			create company/2 \Prospect\Active\Bolt: new company
			held foreign-mark group/type:1 \Customer: folder "Customer" is in the way; it is marked by other group/type:1
			held foreign-mark group/type:1/status:1 \Customer\Active: its group folder "Customer" cannot be made: folder "Customer" is in the way; it is marked by other group/type:1
			held foreign-mark company/1 \Customer\Active\Acme: its group folder "Active" cannot be made: its group folder "Customer" cannot be made: folder "Customer" is in the way; it is marked by other group/type:1`,
		after: `
			Customer [other group/type:1]
			  Active [other group/type:1/status:1]
			    Acme [other company/1]
			Prospect [group/type:2]
			  Active [group/type:2/status:1]
			    Bolt [company/2]`,
	},
	"6 duplicate marks: nothing tells which is the real one": {
		text: text{
			companies: `1 one Acme Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/1]
				    Acme - Copy [company/1]
				    Gone [company/9]
				    Gone too [company/9]`,
		},
		plan: `
			held duplicate-mark company/1 \Customer\Active\Acme: several folders carry its mark: \Clients\Customer\Active\Acme, \Clients\Customer\Active\Acme - Copy
			held duplicate-mark company/9: several folders carry its mark: \Clients\Customer\Active\Gone, \Clients\Customer\Active\Gone too`,
	},
	"7 order: renamed and moved in one step": {
		text: text{
			companies: `250 alovet "Alovet, Inc." Customer Active`,
			vault: `
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Alovet [company/250]`,
		},
		plan: `
			create group/type:1 \Customer: group folder for type Customer
			create group/type:1/status:1 \Customer\Active: group folder for status Active
			move company/250 \Prospect\Active\Alovet -> \Customer\Active\Alovet, Inc.: type changed from Prospect to Customer; name changed`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Alovet, Inc. [company/250]
			Prospect [group/type:2]
			  Active [group/type:2/status:1]`,
	},
	"7 order: a chain of names needs no temporary one": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one B - Active
				2 two C - Active
				3 three D - Active`,
			vault: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  C [company/3]`,
		},
		plan: `
			rename company/3 \Active\C -> \Active\D: name changed
			rename company/2 \Active\B -> \Active\C: name changed
			rename company/1 \Active\A -> \Active\B: name changed`,
		after: `
			Active [group/status:1]
			  B [company/1]
			  C [company/2]
			  D [company/3]`,
	},
	"7 order: a circle of three names takes one temporary name": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one B - Active
				2 two C - Active
				3 three A - Active`,
			vault: `
				Active [group/status:1]
				  A [company/1]
				  B [company/2]
				  B (moving #1)
				  C [company/3]`,
		},
		plan: `
			rename company/1 \Active\A -> \Active\B via \Active\B (moving #1, 2): name changed
			rename company/3 \Active\C -> \Active\A: name changed
			rename company/2 \Active\B -> \Active\C: name changed`,
		after: `
			Active [group/status:1]
			  A [company/3]
			  B [company/1]
			  B (moving #1)
			  C [company/2]`,
	},
	"7 order: two companies change places": {
		text: text{
			companies: `
				1 one Acme Customer Active
				2 two ACME Prospect Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    ACME [company/2]
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Acme [company/1]`,
		},
		plan: `
			move company/1 \Prospect\Active\Acme -> \Customer\Active\Acme via \Prospect\Active\Acme (moving #1): type changed from Prospect to Customer
			move company/2 \Customer\Active\ACME -> \Prospect\Active\ACME: type changed from Customer to Prospect`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			Prospect [group/type:2]
			  Active [group/type:2/status:1]
			    ACME [company/2]`,
	},
	"7 order: a company sits where its own group has to be": {
		text: text{
			companies: `1 one Customer Customer Active`,
			vault:     `Customer [company/1]`,
		},
		plan: `
			move company/1 \Customer -> \Customer\Active\Customer via \Customer (moving #1): the folder was not in its group folder
			create group/type:1 \Customer: group folder for type Customer
			create group/type:1/status:1 \Customer\Active: group folder for status Active`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Customer [company/1]`,
	},
	"7 order: a folder waits until what holds its new place has left it": {
		text: text{
			companies: `5 five Acme Customer Active`,
			vault: `
				Prospect [group/type:2]
				  Active [group/type:2/status:1]
				    Acme [company/5]
				      Customer [group/type:1]
				        Active [group/type:1/status:1]`,
		},
		plan: `
			move group/type:1 \Prospect\Active\Acme\Customer -> \Customer: the folder was not in its group folder
			move company/5 \Prospect\Active\Acme -> \Customer\Active\Acme: type changed from Prospect to Customer`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/5]
			Prospect [group/type:2]
			  Active [group/type:2/status:1]`,
	},
	"7 order: never under itself": {
		text: text{
			companies: `5 five Acme Customer Active`,
			world: func(w *sync.World) {
				w.Hold = map[sync.Key]sync.Held{"group/type:1": {Code: sync.HeldFailedBefore, Reason: "failed three times"}}
			},
			vault: `
				Acme [company/5]
				  Customer [group/type:1]
				    Active [group/type:1/status:1]`,
		},
		plan: `
			held failed-before group/type:1 \Acme\Customer: failed three times
			held cycle company/5 \Acme: it would have to move into a folder that is inside it`,
	},
	"8 drift: put back, and the step says so": {
		text: text{
			companies: `1 one Acme Customer Active`,
			world:     known([3]string{"company/1", "group/type:1/status:1", "Acme"}, [3]string{"group/type:1", "root", "Customer"}),
			vault: `
				Kunden [group/type:1]
				  Active [group/type:1/status:1]
				Mine
				  Acme mine [company/1]`,
		},
		plan: `
			rename group/type:1 \Kunden -> \Customer: a person moved or renamed the folder; ConnectWise has not changed, so it is put back
			move company/1 \Mine\Acme mine -> \Customer\Active\Acme: a person moved or renamed the folder; ConnectWise has not changed, so it is put back`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			Mine`,
	},
	"8 drift: left": {
		text: text{
			set:       func(s *sync.Settings) { s.KeepDrift = true },
			companies: `1 one Acme Customer Active`,
			world:     known([3]string{"company/1", "group/type:1/status:1", "Acme"}),
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				Mine
				  Acme mine [company/1]`,
		},
	},
	"8 drift: left until ConnectWise wants another place": {
		text: text{
			set:       func(s *sync.Settings) { s.KeepDrift = true },
			companies: `1 one Acme Customer Active`,
			world:     known([3]string{"company/1", "group/type:1/status:2", "Acme"}),
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				  Inactive [group/type:1/status:2]
				Mine
				  Acme mine [company/1]`,
		},
		plan: `move company/1 \Mine\Acme mine -> \Customer\Active\Acme: the folder was not in its group folder; name changed`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			  Inactive [group/type:1/status:2]
			Mine`,
	},
	"8 drift: a temporary name that a crash left is none": {
		text: text{
			set:       func(s *sync.Settings) { s.KeepDrift = true },
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			world: known([3]string{"company/1", "group/status:1", "Acme"}, [3]string{"company/2", "group/status:1", "Bolt (two)"}),
			vault: `
				Active [group/status:1]
				  Bolt (moving #1) [company/1]
				  Bolt (moving #2, 3) [company/2]`,
		},
		plan: `
			rename company/1 \Active\Bolt (moving #1) -> \Active\Acme: name changed
			rename company/2 \Active\Bolt (moving #2, 3) -> \Active\Bolt: name changed`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			  Bolt [company/2]`,
	},
	"9 gone: held, and its name waits for it": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Acme - Active`,
			world: known([3]string{"company/1", "group/status:1", "Acme"}, [3]string{"company/2", "group/status:1", "Acme (two)"}),
			vault: `
				Active [group/status:1]
				  Acme (two) [company/2]`,
		},
		plan: `held folder-missing company/1 \Active\Acme: its folder "Acme" has disappeared from the vault or can no longer be seen`,
	},
	"9 gone: a group, with all that belongs into it": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			world: known([3]string{"group/status:1", "root", "Active"}),
			vault: `Bolt [company/2]`,
		},
		plan: `
			held folder-missing group/status:1 \Active: its folder "Active" has disappeared from the vault or can no longer be seen
			held folder-missing company/1 \Active\Acme: its group folder "Active" cannot be made: its folder "Active" has disappeared from the vault or can no longer be seen
			held folder-missing company/2 \Bolt: its group folder "Active" cannot be made: its folder "Active" has disappeared from the vault or can no longer be seen`,
	},
	"9 gone: made again when a person says so": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world: func(w *sync.World) {
				known([3]string{"company/1", "group/status:1", "Acme"})(w)
				w.Recreate = map[sync.Key]bool{"company/1": true}
			},
			vault: `Active [group/status:1]`,
		},
		plan: `create company/1 \Active\Acme: made again on request`,
		after: `
			Active [group/status:1]
			  Acme [company/1]`,
	},
	"9 gone: the making again that a crash broke off goes on": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world: func(w *sync.World) {
				known([3]string{"company/1", "group/status:1", "Acme"})(w)
				w.Unfinished = map[sync.Key]sync.Place{"company/1": {Parent: "group/status:1", Name: "Acme"}}
			},
			vault: `
				Active [group/status:1]
				  Acme`,
		},
		plan: `adopt company/1 \Active\Acme: made by an earlier run that ended before it could mark it`,
		after: `
			Active [group/status:1]
			  Acme [company/1]`,
	},
	"9 gone: the making again that a crash broke off before it was made": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world: func(w *sync.World) {
				known([3]string{"company/1", "group/status:1", "Acme"})(w)
				w.Unfinished = map[sync.Key]sync.Place{"company/1": {Parent: "group/status:1", Name: "Acme"}}
			},
			vault: `Active [group/status:1]`,
		},
		plan: `create company/1 \Active\Acme: made again on request`,
		after: `
			Active [group/status:1]
			  Acme [company/1]`,
	},
	"10 departed: stays, reported, and keeps its name": {
		text: text{
			set: func(s *sync.Settings) {
				s.Types, s.Statuses, s.Exclude = []string{"!Vendor"}, []string{"Active"}, []string{"FOUR"}
			},
			companies: `
				1 one Acme Customer Active
				2 two Bolt Customer,Vendor Active
				3 three Cork Customer Lost
				4 four Dent Customer Active`,
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/9]
				    Bolt [company/2]
				    Cork [company/3]
				    Dent [company/4]`,
		},
		plan: `
			create company/1 \Customer\Active\Acme (one): new company; the name "Acme" is taken by the folder of company/9
			departed company/2 \Customer\Active\Bolt: its types are filtered out
			departed company/3 \Customer\Active\Cork: status Lost is filtered out
			departed company/4 \Customer\Active\Dent: excluded by the settings
			departed company/9 \Customer\Active\Acme: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/9]
			    Acme (one) [company/1]
			    Bolt [company/2]
			    Cork [company/3]
			    Dent [company/4]`,
	},
	"10 departed: archived, two of one name": {
		text: text{
			set:       archive,
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/8]
				Inactive [group/status:2]
				  Acme [company/9]
				  ACME [company/1]`,
		},
		plan: `
			create group/archive \_Archive: archive folder for departed companies
			archive company/8 \Active\Acme -> \_Archive\Acme: deleted in ConnectWise, or no longer visible to the API member
			move company/1 \Inactive\ACME -> \Active\Acme: status changed from Inactive to Active; name changed
			archive company/9 \Inactive\Acme -> \_Archive\Acme (#9): deleted in ConnectWise, or no longer visible to the API member; name changed; company 8 has the name "Acme" too and comes first`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			Inactive [group/status:2]
			_Archive [group/archive]
			  Acme [company/8]
			  Acme (#9) [company/9]`,
	},
	"10 departed: an unmanaged folder is where the archive should be": {
		text: text{
			set:       archive,
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				  Bolt [company/2]
				_archive`,
		},
		plan: `
			held unmanaged-folder group/archive \_Archive: an unmanaged folder "_archive" is there
			held unmanaged-folder company/2 \Active\Bolt: its group folder "_Archive" cannot be made: an unmanaged folder "_archive" is there
			departed company/2 \Active\Bolt: deleted in ConnectWise, or no longer visible to the API member`,
	},
	"10 departed: an archive whose name means something to the vault": {
		text: text{
			set:       func(s *sync.Settings) { s.Archive = "CON" },
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				  Bolt [company/2]`,
		},
		plan: `
			create group/archive \CON (archive): archive folder for departed companies
			archive company/2 \Active\Bolt -> \CON (archive)\Bolt: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			CON (archive) [group/archive]
			  Bolt [company/2]`,
	},
	"10 departed: the archive has the name of a group": {
		text: text{
			set:       func(s *sync.Settings) { s.Archive = "active" },
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				  Bolt [company/2]`,
		},
		plan: `
			create group/archive \active (archive): archive folder for departed companies; folder group/status:1 has the name "Active" too and comes first
			archive company/2 \Active\Bolt -> \active (archive)\Bolt: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			active (archive) [group/archive]
			  Bolt [company/2]`,
	},
	"10 departed: back to the same folder": {
		text: text{
			set:       archive,
			structure: "$STATUS",
			companies: `8 eight Acme - Active`,
			vault: `
				Active [group/status:1]
				_Archive [group/archive]
				  Acme [company/8]
				    Router`,
		},
		plan: `move company/8 \_Archive\Acme -> \Active\Acme: the company is back`,
		after: `
			Active [group/status:1]
			  Acme [company/8]
			    Router
			_Archive [group/archive]`,
	},
	"10 departed: moved out of the archive by a person": {
		text: text{
			set:       archive,
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world:     known([3]string{"company/8", "group/archive", "Bolt"}),
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				Bolt then [company/8]
				_Archive [group/archive]`,
		},
		plan: `archive company/8 \Bolt then -> \_Archive\Bolt then: a person moved or renamed the folder; ConnectWise has not changed, so it is put back`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			_Archive [group/archive]
			  Bolt then [company/8]`,
	},
	"10 departed: moved out of the archive by a person, and left there": {
		text: text{
			set:       func(s *sync.Settings) { s.Archive, s.KeepDrift = "_Archive", true },
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world:     known([3]string{"company/8", "group/archive", "Bolt"}),
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				Bolt then [company/8]
				_Archive [group/archive]`,
		},
		plan: `departed company/8 \Bolt then: deleted in ConnectWise, or no longer visible to the API member`,
	},
	"11 never: a new company of a departed one's name gets no folder of its": {
		text: text{
			set:       adopt,
			structure: "$STATUS",
			companies: `12 twelve Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/9]
				    Router`,
		},
		plan: `
			create company/12 \Active\Acme (twelve): new company; the name "Acme" is taken by the folder of company/9
			departed company/9 \Active\Acme: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Active [group/status:1]
			  Acme [company/9]
			    Router
			  Acme (twelve) [company/12]`,
	},
	"13 guards: what a guard holds makes others wait": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Inactive
				2 two Acme - Active
				3 three Acme - Inactive`,
			world: func(w *sync.World) {
				w.Hold = map[sync.Key]sync.Held{"company/1": {Code: sync.HeldGuardMoves, Reason: "too many moves"}}
			},
			vault: `
				Active [group/status:1]
				  Acme [company/1]
				Inactive [group/status:2]`,
		},
		plan: `
			create company/3 \Inactive\Acme (three): new company; company 1 has the name "Acme" too and comes first
			held guard-moves company/1 \Active\Acme: too many moves
			held guard-moves company/2 \Active\Acme: its place is still taken by the folder of company 1, which is held`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			Inactive [group/status:2]
			  Acme (three) [company/3]`,
	},
	"13 guards: companies move while their group's rename is held": {
		text: text{
			statuses:  "1 Live\n2 Inactive",
			companies: `1 one Acme Customer Live`,
			world: func(w *sync.World) {
				w.Hold = map[sync.Key]sync.Held{"group/type:1/status:1": {Code: sync.HeldGuardRenames, Reason: "too many renames"}}
			},
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				  Inactive [group/type:1/status:2]
				    Acme [company/1]`,
		},
		plan: `
			move company/1 \Customer\Inactive\Acme -> \Customer\Active\Acme: status changed from Inactive to Live
			held guard-renames group/type:1/status:1 \Customer\Active: too many renames`,
		after: `
			Customer [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			  Inactive [group/type:1/status:2]`,
	},
	"paused: stays, and others do not wait for it": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Bolt - Active
				2 two Acme - Active`,
			world: func(w *sync.World) {
				w.Hold = map[sync.Key]sync.Held{"company/1": {Code: sync.HeldPaused, Reason: "paused by hand"}}
			},
			vault: `
				Active [group/status:1]
				  Acme [company/1]`,
		},
		plan: `
			create company/2 \Active\Acme (two): new company; the name "Acme" is taken by the folder of company/1
			held paused company/1 \Active\Acme: paused by hand`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			  Acme (two) [company/2]`,
	},
	"limited to one company: with its groups and what must make way": {
		text: text{
			types: "1 Client\n2 Prospect",
			companies: `
				1 one Acme Client Active
				2 two Bolt Client Active
				3 three Cork Prospect Active
				4 four Dent - Active`,
			world: func(w *sync.World) { w.Only = map[int]bool{1: true} },
			vault: `
				Customer [group/type:1]
				  Active [group/type:1/status:1]
				    Acme [company/2]
				Prospects [group/type:2]
				  Active [group/type:2/status:1]
				    Gone [company/9]`,
		},
		plan: `
			rename group/type:1 \Customer -> \Client: type renamed from Customer to Client
			rename company/2 \Customer\Active\Acme -> \Client\Active\Bolt: name changed
			create company/1 \Client\Active\Acme: new company`,
		after: `
			Client [group/type:1]
			  Active [group/type:1/status:1]
			    Acme [company/1]
			    Bolt [company/2]
			Prospects [group/type:2]
			  Active [group/type:2/status:1]
			    Gone [company/9]`,
	},
	"16 crash: an unmarked folder where one was being made is ours": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Acme - Active
				2 two Bolt - Active`,
			world: func(w *sync.World) {
				w.Unfinished = map[sync.Key]sync.Place{
					"company/1": {Parent: "group/status:1", Name: "Acme"},
					"company/2": {Parent: "group/status:2", Name: "Bolt"}, // elsewhere: not this one
				}
			},
			vault: `
				Active [group/status:1]
				  Acme
				  Bolt`,
		},
		plan: `
			adopt company/1 \Active\Acme: made by an earlier run that ended before it could mark it
			held unmanaged-folder company/2 \Active\Bolt: an unmanaged folder "Bolt" is there`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			  Bolt`,
	},
	"16 crash: and stays so when its company has moved on since": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one "Acme Ltd" - Inactive
				2 two Bolt - Active
				3 three Acme - Active`,
			world: func(w *sync.World) {
				w.Unfinished = map[sync.Key]sync.Place{"company/1": {Parent: "group/status:1", Name: "Acme"}}
			},
			vault: `
				Active [group/status:1]
				  Acme
				  Bolt [company/2]
				Inactive [group/status:2]`,
		},
		plan: `
			move company/1 \Active\Acme -> \Inactive\Acme Ltd: made by an earlier run that ended before it could mark it; status changed from Active to Inactive; name changed
			create company/3 \Active\Acme: new company`,
		after: `
			Active [group/status:1]
			  Acme [company/3]
			  Bolt [company/2]
			Inactive [group/status:2]
			  Acme Ltd [company/1]`,
	},
	"16 crash: not when two were to be made at that place": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 one Bolt - Active
				2 two Acme - Active`,
			world: func(w *sync.World) {
				w.Unfinished = map[sync.Key]sync.Place{
					"company/1": {Parent: "group/status:1", Name: "Acme"},
					"company/2": {Parent: "group/status:1", Name: "Acme"},
				}
			},
			vault: `
				Active [group/status:1]
				  Acme`,
		},
		plan: `
			create company/1 \Active\Bolt: new company
			held unmanaged-folder company/2 \Active\Acme: an unmanaged folder "Acme" is there`,
		after: `
			Active [group/status:1]
			  Acme
			  Bolt [company/1]`,
	},
	"16 crash: a folder at its temporary name gets its own": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme (moving #1) [company/1]`,
		},
		plan: `rename company/1 \Active\Acme (moving #1) -> \Active\Acme: name changed`,
		after: `
			Active [group/status:1]
			  Acme [company/1]`,
	},
	"the root does not exist": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world:     func(w *sync.World) { w.Tree.Root.ID = "" },
		},
		plan: `
			create root : the root does not exist yet
			create group/status:1 \Active: group folder for status Active
			create company/1 \Active\Acme: new company`,
		after: `
			Active [group/status:1]
			  Acme [company/1]`,
	},
	"a folder below one that cannot be seen": {
		text: text{
			structure: "$STATUS",
			companies: `1 one Acme - Active`,
			world: func(w *sync.World) {
				w.Tree.Folders = slices.DeleteFunc(slices.Clone(w.Tree.Folders), func(f sync.Folder) bool { return f.Name == "Hidden" })
			},
			vault: `
				Active [group/status:1]
				Hidden
				  Acme then [company/1]`,
		},
		plan: `move company/1 \…\Acme then -> \Active\Acme: the folder was not in its group folder; name changed`,
		after: `
			Active [group/status:1]
			  Acme [company/1]
			Hidden`,
	},
}

func TestPlan(t *testing.T) {
	codes := map[sync.HoldCode]bool{}
	for name, c := range planCases {
		t.Run(name, func(t *testing.T) {
			v := readVault(t, c.vault)
			p := c.text.plan(t, v.Snapshot())
			if diff := cmp.Diff(tidy(c.plan), writePlan(p.Plan)); diff != "" {
				t.Fatalf("plan (-want +got):\n%s", diff)
			}
			for _, h := range p.Held {
				codes[h.Code] = true
			}
			report := sync.Apply(context.Background(), v, p, 1, noRecord{})
			for i, r := range report.Results {
				if r.Status != sync.StatusDone {
					t.Errorf("step %s: %s: %v", p.Steps[i].Key, r.Status, r.Err)
				}
			}
			after := c.after
			if after == "" {
				after = c.vault
			}
			if diff := cmp.Diff(readVault(t, after).String(), v.String()); diff != "" {
				t.Errorf("vault (-want +got):\n%s", diff)
			}
			if len(p.Steps) > 0 {
				c.again(t, v, p)
			}
		})
	}
	// Guards come with Check, and access with WithAccess.
	for _, code := range []sync.HoldCode{
		sync.HeldNoType, sync.HeldNoStatus, sync.HeldNoTerritory, sync.HeldNoMarket, sync.HeldNoParent, sync.HeldUnmanagedFolder,
		sync.HeldNameCollision, sync.HeldFolderMissing, sync.HeldForeignMark, sync.HeldExcluded, sync.HeldPaused,
		sync.HeldFailedBefore, sync.HeldDuplicateMark, sync.HeldCycle, sync.HeldGuardMoves, sync.HeldGuardRenames,
	} {
		if !codes[code] {
			t.Errorf("no case holds anything as %s", code)
		}
	}
}

// again sees that a second run has nothing to do, also when it remembers what
// the first one did.
func (c planCase) again(t *testing.T, v *memVault, p sync.Program) {
	t.Helper()
	first := c.world
	c.world = func(w *sync.World) {
		root := w.Tree.Root
		if first != nil {
			first(w)
		}
		w.Tree = v.Snapshot()
		w.Tree.Root = root
		w.Known = maps.Clone(w.Known)
		if w.Known == nil {
			w.Known = map[sync.Key]sync.Place{}
		}
		for _, k := range p.Learned() {
			w.Known[k.Key] = k.Place
		}
		for i, s := range p.Steps {
			w.Known[s.Key] = p.Place(i)
		}
	}
	if second := c.text.plan(t, v.Snapshot()); !second.Empty() {
		t.Errorf("a second plan has steps:\n%s", writePlan(second.Plan))
	}
}

// TestPlanRefuses sees that a reading of the vault that contradicts itself is
// not planned with.
func TestPlanRefuses(t *testing.T) {
	c := text{companies: `1 one Acme Customer Active`}
	wanted, err := sync.Want(c.source(t), c.settings(t), textRules)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		folders []sync.Folder
		want    string
	}{
		"an id twice":      {[]sync.Folder{{ID: "7", ParentID: "root"}, {ID: "7", ParentID: "root"}}, `plan: the vault lists folder id "7" twice`},
		"the root's id":    {[]sync.Folder{{ID: "root", ParentID: "7"}}, `plan: the vault lists folder id "root" twice`},
		"no id":            {[]sync.Folder{{ParentID: "root"}}, `plan: the vault lists folder id "" twice`},
		"inside itself":    {[]sync.Folder{{ID: "7", ParentID: "8"}, {ID: "8", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"its own parent":   {[]sync.Folder{{ID: "7", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"below a circle":   {[]sync.Folder{{ID: "6", ParentID: "7"}, {ID: "7", ParentID: "8"}, {ID: "8", ParentID: "7"}}, `plan: the vault lists folder "7" inside itself`},
		"below nothing":    {[]sync.Folder{{ID: "6", ParentID: "gone"}}, ""},
		"below the root":   {[]sync.Folder{{ID: "6", ParentID: "root"}}, ""},
		"no folder at all": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sync.MakePlan(wanted, sync.World{Tenant: testTenant, Tree: sync.Tree{Root: sync.Folder{ID: "root"}, Folders: tc.folders}})
			if got := fmt.Sprint(err); tc.want == "" && err != nil || tc.want != "" && got != tc.want {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
}
