package sync_test

import "cwvault/sync"

// wantedCases are about which folder a company should have.
var wantedCases = map[string]planCase{
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
}
