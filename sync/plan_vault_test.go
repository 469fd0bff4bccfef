package sync_test

import (
	"slices"

	"cwvault/sync"
)

// vaultCases are about what people did in the vault, what is gone, held or left by a crash.
var vaultCases = map[string]planCase{
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
