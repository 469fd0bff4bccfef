package sync_test

import "cwvault/sync"

// nameCases are about names, what is in their way, and the order of steps.
var nameCases = map[string]planCase{
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
			held unmanaged-folder company/3 \Customer\Active\Cork: an unmanaged folder "cork" is there, spelled differently from "Cork", so it is not adopted`,
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
			held unmanaged-folder company/1 \Active\Acme: an unmanaged folder "Acme" is there, and more than one company or group wants this name, so its owner is unclear`,
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
			held unmanaged-folder company/1 \Customer\Active\Acme: an unmanaged folder "Acme" is there, and a company without a place has this name too, so its owner is unclear
			held no-type company/2: the company has no type, and no group is named for that
			held excluded company/3: excluded by the settings
			held unmanaged-folder company/4 \Customer\Active\Bolt: an unmanaged folder "Bolt" is there, and a company without a place has this name too, so its owner is unclear`,
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
		plan: `held unmanaged-folder company/1 \Active\Acme: several folders named like "Acme" are there, so none is adopted`,
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
}
