package sync

import (
	"fmt"
	"slices"
	"strings"
)

// folderAt is a folder of the vault, by its index in the [Tree].
type folderAt int32

// These take the place of an index where there is none. All are negative.
const (
	rootParent   folderAt = -1 // the root itself
	hiddenParent folderAt = -2 // a folder that the account cannot see
	newParent    folderAt = -3 // a folder that does not exist yet
	noFolder     folderAt = -4
	several      folderAt = -5 // more than one folder
)

// place is a name in a folder of the vault.
type place struct {
	parent folderAt
	folded string
}

// view is the vault's tree, indexed. It is read-only once made.
type view struct {
	tree   Tree
	tenant string
	names  NameRules

	folders []Folder
	parent  []folderAt         // of each folder
	folded  []string           // its folded name
	at      map[place]folderAt // the first of the folders at each place
	next    []folderAt         // another folder at the same place, or noFolder
	shares  []bool             // whether another folder is at the same place

	groupFolders   map[Key]folderAt // our folders by key, or several
	companyFolders map[int]folderAt // and by company id
	copies         map[Key][]folderAt
}

// index makes a view of a tree. It fails if the tree contradicts itself.
func index(tree Tree, tenant string, names NameRules) (*view, error) {
	n := len(tree.Folders)
	v := &view{
		tree: tree, tenant: tenant, names: names, folders: tree.Folders,
		parent: make([]folderAt, n), folded: make([]string, n),
		at: make(map[place]folderAt, n), next: make([]folderAt, n), shares: make([]bool, n),
		groupFolders: map[Key]folderAt{}, companyFolders: make(map[int]folderAt, n), copies: map[Key][]folderAt{},
	}
	byID := make(map[string]folderAt, n)
	for i, f := range v.folders {
		byID[f.ID] = folderAt(i)
		if len(byID) == i || f.ID == "" || f.ID == tree.Root.ID {
			return nil, fmt.Errorf("the vault lists folder id %q twice", f.ID)
		}
	}
	for i := range v.folders {
		at, f := folderAt(i), &v.folders[i]
		parent, ok := byID[f.ParentID]
		switch {
		case f.ParentID == tree.Root.ID:
			parent = rootParent
		case !ok:
			parent = hiddenParent
		}
		v.parent[i], v.folded[i] = parent, names.Fold(f.Name)
		where := place{parent, v.folded[i]}
		v.next[i] = noFolder
		if other, taken := v.at[where]; taken {
			v.next[i], v.shares[i], v.shares[other] = other, true, true
		}
		v.at[where] = at
		if !v.ours(at) {
			continue
		}
		if id, ok := f.Mark.Key.CompanyID(); ok {
			carry(v, v.companyFolders, id, at)
		} else {
			carry(v, v.groupFolders, f.Mark.Key, at)
		}
	}
	return v, v.checkLoops()
}

// carry records in m that a folder carries the key k.
func carry[K comparable](v *view, m map[K]folderAt, k K, f folderAt) {
	before := len(m)
	was := m[k]
	m[k] = f
	if len(m) > before {
		return
	}
	m[k] = several // rule 1: a key twice is nobody's
	key := v.folders[f].Mark.Key
	if was != several {
		v.copies[key] = append(v.copies[key], was)
	}
	v.copies[key] = append(v.copies[key], f)
}

// checkLoops refuses a tree in which a folder is inside itself.
func (v *view) checkLoops() error {
	const (
		unseen = iota
		onTheWay
		good
	)
	state := make([]uint8, len(v.folders))
	var way []folderAt
	for i := range v.folders {
		way = way[:0]
		f := folderAt(i)
		for f >= 0 && state[f] == unseen {
			state[f] = onTheWay
			way = append(way, f)
			f = v.parent[f]
		}
		if f >= 0 && state[f] == onTheWay {
			return fmt.Errorf("the vault lists folder %q inside itself", v.folders[f].ID)
		}
		for _, f := range way {
			state[f] = good
		}
	}
	return nil
}

// ours reports whether a folder carries a mark of this tenant.
func (v *view) ours(f folderAt) bool {
	m := &v.folders[f].Mark
	return !v.folders[f].BadMark && m.Key != "" && m.Tenant == v.tenant && m.Key.Valid() // rule 1: only this tenant's marks count
}

// carrier returns the folder that carries a key: noFolder, or several.
func (v *view) carrier(k Key) folderAt {
	id, isCompany := k.CompanyID()
	f, ok := v.groupFolders[k]
	if isCompany {
		f, ok = v.companyFolders[id]
	}
	if !ok {
		return noFolder
	}
	return f
}

// first returns the first of the folders at a folder's place.
func (v *view) first(f folderAt) folderAt {
	if !v.shares[f] {
		return f
	}
	return v.at[place{v.parent[f], v.folded[f]}]
}

// path is the full path of a folder as it is now.
func (v *view) path(f folderAt) string {
	switch f {
	case rootParent:
		return strings.TrimSuffix(v.tree.RootPath, `\`)
	case hiddenParent:
		return v.path(rootParent) + `\…`
	}
	return v.path(v.parent[f]) + `\` + v.folders[f].Name
}

// duplicates returns the reason of a hold whose key several folders carry.
func (v *view) duplicates(k Key) string {
	paths := make([]string, 0, len(v.copies[k]))
	for _, f := range v.copies[k] {
		paths = append(paths, v.path(f))
	}
	slices.Sort(paths)
	return "several folders carry its mark: " + strings.Join(paths, ", ")
}

// managed counts the company folders with a unique key.
func (v *view) managed() int {
	n := 0
	for _, f := range v.companyFolders {
		if f >= 0 {
			n++
		}
	}
	return n
}
