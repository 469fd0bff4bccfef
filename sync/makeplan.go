package sync

import "fmt"

// World is what the planner knows besides the companies: the tree of the vault,
// what the journal remembers, and the decisions about this run.
type World struct {
	Tenant string // the ConnectWise login company id; marks carry it
	Vault  string // the vault's address, for the plan
	Tree   Tree

	// Known is where each managed folder was last right. If it is elsewhere now,
	// a person moved it. If it is nowhere, it has disappeared. Nil means that
	// nothing is known.
	Known map[Key]Place
	// Unfinished are folders that an earlier run began to create, without
	// learning whether that succeeded. An unmarked folder there is ours.
	Unfinished map[Key]Place
	// Recreate are folders that a person allows to be made again.
	Recreate map[Key]bool
	// Hold are folders that must stay as they are in this plan, and why: they
	// are paused or failed before. [Decide] adds what policies hold.
	Hold map[Key]Held
	// Only limits the plan to these companies and their group folders. Nil
	// means all.
	Only map[int]bool
	// Encrypted: the vault encrypts for the people who can read a folder, so
	// that only key holders can take one to another audience. See [Access].
	Encrypted bool
}

// Place is where a managed folder is: the key of its parent ([RootKey] for the
// root) and its name.
type Place struct {
	Parent Key
	Name   string
}

// MakePlan compares the wanted tree with the vault and returns the steps that
// turn the vault into the wanted tree. It is pure: equal arguments, in any order,
// give a byte-equal plan. It fails if the vault's tree contradicts itself (two
// folders with one id, a folder inside itself).
//
// It works in stages. Each reads the result of the one before:
//
//	index   the tree           -> view     where each folder is, who carries a key
//	match   wanted and view    -> matched  a node for each folder that should be somewhere
//	settle  matched            -> settled  a name for each node, and what is held
//	diff    settled            -> changes  what differs from the vault
//	order   changes            -> steps    in an order in which they can be made
func MakePlan(w Wanted, world World) (Program, error) {
	v, err := index(world.Tree, world.Tenant, w.names)
	if err != nil {
		return Program{}, fmt.Errorf("plan: %w", err)
	}
	return planOf(settle(match(w, world, v)))
}

// planOf runs the last two stages.
func planOf(s *settled) (Program, error) {
	d := newDiffer(s)
	p := d.program(d.only(d.diff()))
	p.Held = d.allHeld()
	p.Departed = d.allDeparted() // rule 10: departed folders are reported
	p.Counts.Unchanged = d.unchanged()
	p.learned, p.managed = d.learned(), s.managed()
	p.count()
	return p.signed()
}

// program returns a program that makes these changes.
func (d *differ) program(changes []change) Program {
	p := Program{encrypted: d.world.Encrypted, Plan: Plan{
		Schema: PlanSchema, Tenant: d.tenant, Vault: d.world.Vault, Root: d.tree.RootPath,
		Held: []Held{}, Departed: []Departed{},
	}}
	p.Steps, p.details = order(d.settled, changes)
	return p
}
