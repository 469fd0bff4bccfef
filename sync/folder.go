package sync

import (
	"fmt"
	"strconv"
	"strings"
)

// Key is the stable identity of a managed folder: "company/250" for a company
// folder, "group/type:1/status:4" for a group folder.
type Key string

// RootKey is the key of the step that creates the root. No folder carries it in
// its mark.
const RootKey Key = "root"

// CompanyKey returns the key of the folder of the company with this id.
func CompanyKey(id int) Key { return Key("company/" + strconv.Itoa(id)) }

// CompanyID returns the company's number if k is the key of a company folder.
func (k Key) CompanyID() (id int, ok bool) {
	s, found := strings.CutPrefix(string(k), "company/")
	if !found || s == "" || s[0] < '1' || s[0] > '9' { // no sign, no leading zero: one spelling a key; rule 1: one spelling a key
		return 0, false
	}
	id, err := strconv.Atoi(s)
	return id, err == nil
}

// IsGroup reports whether k is the key of a group folder.
func (k Key) IsGroup() bool { return strings.HasPrefix(string(k), "group/") && len(k) > len("group/") }

// Valid reports whether k is a key that this version of cwvault writes.
func (k Key) Valid() bool {
	_, company := k.CompanyID()
	return company || k.IsGroup()
}

// Mark is what cwvault writes on each of its folders, in the vault itself, so
// that the vault alone says which folder belongs to whom. The zero Mark means
// that a folder has none.
type Mark struct {
	Tenant string // the ConnectWise login company id, such as "acmeinc"
	Key    Key
}

// String returns the mark as one line of text, "acmeinc company/250". Vaults that
// can only store text store this.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	return m.Tenant + " " + string(m.Key)
}

// ParseMark is the inverse of [Mark.String]. It refuses text that String does not
// write.
func ParseMark(s string) (Mark, error) {
	tenant, key, ok := strings.Cut(s, " ")
	m := Mark{Tenant: tenant, Key: Key(key)}
	if !ok || tenant == "" || !m.Key.Valid() {
		return Mark{}, fmt.Errorf("not a cwvault mark: %q", s)
	}
	return m, nil
}

// Folder is one folder of the vault.
type Folder struct {
	ID       string // the vault's own id of the folder; opaque, unique, never empty
	ParentID string // id of the folder that holds it
	Name     string
	Mark     Mark
	// BadMark: the folder carries something in place of a mark, but it cannot be
	// read. Such a folder is never changed, like another installation's.
	BadMark bool
	// Inherits: the folder has its parent's permissions, so its audience changes
	// when it moves.
	Inherits bool
}

// Tree is one complete reading of the vault: the root and every folder below
// it that the account can see, in any order.
type Tree struct {
	// Root is the folder that holds all others. Its ID is empty if it does not
	// exist yet.
	Root Folder
	// RootPath is the root's full path with backslashes, such as \Clients.
	RootPath string
	Folders  []Folder
}
