package sync_test

import "cwvault/sync"

// guarded holds some folders as a guard does.
func guarded(keys ...sync.Key) func(*sync.World) {
	return func(w *sync.World) {
		w.Hold = map[sync.Key]sync.Held{}
		for _, k := range keys {
			w.Hold[k] = sync.Held{Code: sync.HeldGuardMoves, Key: k, Reason: "too many"}
		}
	}
}

// settleCases are worlds in which a hold changes what others may have, though
// they had their turn before.
var settleCases = map[string]planCase{
	"13 guards: a group that cannot be made after all": {
		text: text{
			structure: "$STATUS",
			world:     guarded("company/3"),
			companies: `
				1 one Acme - Active
				2 two Bolt - Inactive
				3 three Cork - Inactive`,
			vault: `
				Active [company/2]
				Inactive [group/status:2]
				  Bolt [company/3]`,
		},
		plan: `
			held guard-moves group/status:1 \Active: its place is still taken by the folder of company 2, which is held
			held guard-moves company/1 \Active\Acme: its group folder "Active" cannot be made: its place is still taken by the folder of company 2, which is held
			held guard-moves company/2 \Active: its place is still taken by the folder of company 3, which is held
			held guard-moves company/3 \Inactive\Bolt: too many`,
	},
	"5 names: who comes first has another name after all": {
		text: text{
			structure: "$STATUS",
			world:     guarded("company/5"),
			companies: `
				1 one Acme - Active
				2 two Acme - Active
				5 five Cork - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/9]
				  Acme (one) [company/5]`,
		},
		plan: `
			create company/2 \Active\Acme (two): new company; the name "Acme" is taken by the folder of company/9
			held guard-moves company/1 \Active\Acme (one): its place is still taken by the folder of company 5, which is held
			held guard-moves company/5 \Active\Acme (one): too many
			departed company/9 \Active\Acme: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Active [group/status:1]
			  Acme [company/9]
			  Acme (one) [company/5]
			  Acme (two) [company/2]`,
	},
	"5 names: the second name is needed by another one first": {
		text: text{
			structure: "$STATUS",
			companies: `
				1 x/1 Acme - Active
				3 x*1 Acme - Active
				7 seven Dent - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/7]
				  Dent`,
		},
		plan: `
			create company/3 \Active\Acme (#3): new company; company 1 has the name "Acme" too and comes first
			create company/1 \Active\Acme (x-1): new company; the name "Acme" is taken by the folder of company/7
			held unmanaged-folder company/7 \Active\Acme: an unmanaged folder "Dent" is in the way`,
		after: `
			Active [group/status:1]
			  Acme [company/7]
			  Acme (#3) [company/3]
			  Acme (x-1) [company/1]
			  Dent`,
	},
	"5 names: a held one keeps its second name": {
		text: text{
			structure: "$STATUS",
			world:     guarded("company/3"),
			companies: `
				1 x/1 Acme - Active
				3 x*1 Acme - Active
				7 seven Dent - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/7]
				  Dent`,
		},
		plan: `
			create company/1 \Active\Acme (#1): new company; the name "Acme" is taken by the folder of company/7
			held guard-moves company/3 \Active\Acme (x-1): too many
			held unmanaged-folder company/7 \Active\Acme: an unmanaged folder "Dent" is in the way`,
		after: `
			Active [group/status:1]
			  Acme [company/7]
			  Acme (#1) [company/1]
			  Dent`,
	},
	"6 adopt: not under a second name when another one wants the first": {
		text: text{
			structure: "$STATUS", set: adopt,
			companies: `
				1 one Acme - Active
				2 two Acme - Active`,
			vault: `
				Active [group/status:1]
				  Acme [company/9]
				  Acme (one)`,
		},
		plan: `
			create company/2 \Active\Acme (two): new company; the name "Acme" is taken by the folder of company/9
			held unmanaged-folder company/1 \Active\Acme (one): an unmanaged folder "Acme (one)" is there, and more than one company or group wants this name, so its owner is unclear
			departed company/9 \Active\Acme: deleted in ConnectWise, or no longer visible to the API member`,
		after: `
			Active [group/status:1]
			  Acme [company/9]
			  Acme (one)
			  Acme (two) [company/2]`,
	},
}
