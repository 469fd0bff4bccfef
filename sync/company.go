package sync

// Ref is a reference to a ConnectWise record: its number, which never
// changes, and its name, which anybody may edit. The zero Ref means "none".
type Ref struct {
	ID   int
	Name string
}

// Company is what the core needs to know of a ConnectWise company record.
// Its identity is ID; Identifier and Name are both editable and Name is not
// unique.
type Company struct {
	ID         int
	Identifier string
	Name       string
	Types      []Ref // in any order; the order carries no meaning
	Status     Ref
	Territory  Ref
	Market     Ref
	Parent     Ref // the parent company
}

// Source is one complete reading of ConnectWise.
type Source struct {
	// Companies are all companies that are not deleted, in any order.
	Companies []Company
	// Count is what the count endpoint says for the same filter. It differs
	// from len(Companies) when the reading is not complete.
	Count int
	// Statuses and Types are the setup tables, whole: also the entries that
	// no company uses.
	Statuses []Ref
	Types    []Ref
}
