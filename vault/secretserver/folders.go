package secretserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"

	"cwvault/sync"
	"cwvault/sync/httpclient"
	"cwvault/vault"
)

const (
	foldersPath = "/v1/folders"
	// top is the id for "no folder": the parent of the topmost folders.
	top = -1
	// personalFolders is the folder that holds a private folder for each user.
	personalFolders = "Personal Folders"
)

// folder is a folder in Secret Server's answers. Pointers are nil if an answer lacks the
// field.
type folder struct {
	ID                  int    `json:"id"`
	Name                string `json:"folderName"`
	Path                string `json:"folderPath"`
	ParentID            *int   `json:"parentFolderId"`
	TypeID              int    `json:"folderTypeId"`
	InheritPermissions  *bool  `json:"inheritPermissions"`
	InheritSecretPolicy *bool  `json:"inheritSecretPolicy"`
	// SecretPolicyID stays as the server wrote it: -1 or null may mean none.
	SecretPolicyID json.RawMessage `json:"secretPolicyId"`
	Personal       bool            `json:"isPersonalFolder"` // in few answers only

	mark found // as last read or written; these answers do not have it
}

// folderArgs is the body that creates or changes a folder. It has every field, because an
// omitted inheritPermissions means true, and Cloud refuses bodies that lack others.
type folderArgs struct {
	ID                  int             `json:"id,omitempty"`
	Name                string          `json:"folderName"`
	ParentID            int             `json:"parentFolderId"`
	TypeID              int             `json:"folderTypeId"`
	InheritPermissions  bool            `json:"inheritPermissions"`
	InheritSecretPolicy bool            `json:"inheritSecretPolicy"`
	SecretPolicyID      json.RawMessage `json:"secretPolicyId,omitempty"`
}

// whole reports whether f has everything that a PUT must send back.
func (f *folder) whole() bool {
	return f.ID > 0 && f.TypeID > 0 && f.ParentID != nil && f.InheritPermissions != nil &&
		f.InheritSecretPolicy != nil && f.SecretPolicyID != nil
}

func (f *folder) parent() int {
	if f.ParentID == nil {
		return top
	}
	return *f.ParentID
}

func (f *folder) inherits() bool { return f.InheritPermissions != nil && *f.InheritPermissions }

func (f *folder) value() sync.Folder {
	return sync.Folder{ID: strconv.Itoa(f.ID), ParentID: strconv.Itoa(f.parent()), Name: f.Name,
		Mark: f.mark.Mark, BadMark: f.mark.bad, Inherits: f.inherits()}
}

// number returns a folder's number. An id that is no number belongs to no folder.
func number(id string) (int, error) {
	n, err := strconv.Atoi(id)
	if err != nil || n <= 0 || strconv.Itoa(n) != id {
		return 0, fmt.Errorf("folder %q: %w", id, vault.ErrNotFound)
	}
	return n, nil
}

// parentNumber is number for a parent, which may be the top if that is the root.
func (v *Vault) parentNumber(id string) (int, error) {
	if len(v.root) == 0 && id == strconv.Itoa(top) {
		return top, nil
	}
	return number(id)
}

func (v *Vault) remember(f folder) {
	v.mu.Lock()
	v.records[f.ID] = f
	v.mu.Unlock()
}

func (v *Vault) record(id int) (folder, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f, ok := v.records[id]
	return f, ok
}

// Tree implements [vault.Vault]. It also lists folders whose parent the account cannot see.
func (v *Vault) Tree(ctx context.Context) (sync.Tree, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var root folder
	var all []folder
	var marked reading
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(sync.Recovered(func() (err error) {
		if root, err = v.findRoot(groupCtx); err != nil {
			return fmt.Errorf("find the root: %w", err)
		}
		if root.ID == 0 {
			return nil
		}
		if all, err = v.descendants(groupCtx, root.ID); err != nil {
			return fmt.Errorf("list folders: %w", err)
		}
		return nil
	}))
	group.Go(sync.Recovered(func() (err error) {
		if marked, err = v.searchMarks(groupCtx); err != nil {
			return fmt.Errorf("read marks: %w", err)
		}
		return nil
	}))
	if err := group.Wait(); err != nil {
		return sync.Tree{}, err
	}
	tree := sync.Tree{RootPath: v.rootPath(root)}
	if root.ID == 0 {
		return tree, nil
	}
	found, err := v.marksOf(ctx, all, marked)
	if err != nil {
		return sync.Tree{}, fmt.Errorf("read marks: %w", err)
	}

	tree.Root = root.value()
	tree.Folders = make([]sync.Folder, 0, len(all))
	records := make(map[int]folder, len(all)+1)
	records[root.ID] = root
	for _, f := range all {
		f.mark = found[f.ID]
		records[f.ID] = f
		tree.Folders = append(tree.Folders, f.value())
	}
	v.mu.Lock()
	v.records, v.rootID = records, root.ID
	v.mu.Unlock()
	return tree, nil
}

// rootPath is the root's path in the server's spelling, if it is the same path as in the
// settings.
func (v *Vault) rootPath(root folder) string {
	path := `\` + strings.Join(v.root, `\`)
	if vault.Fold(root.Path) == vault.Fold(path) {
		return root.Path
	}
	return path
}

// findRoot returns the root's record, or one without id if there is no root.
func (v *Vault) findRoot(ctx context.Context) (folder, error) {
	if len(v.root) == 0 {
		return wholeVault, nil
	}
	// Since 11.0.000005 the id 0 means "by path". Older servers answer with various
	// errors, and "access denied" may also mean that there is no such folder.
	var found folder
	path := `\` + strings.Join(v.root, `\`)
	err := v.client.do(ctx, read(foldersPath+"/0", url.Values{"folderPath": {path}}), &found)
	switch {
	case err == nil && found.ID > 0 && vault.Fold(found.Path) == vault.Fold(path):
		return found, nil
	case err != nil && !turnedDown(err) && statusOf(err) != http.StatusInternalServerError:
		return folder{}, err
	}
	found = wholeVault
	for _, name := range v.root {
		found, err = v.child(ctx, found.ID, name)
		if errors.Is(err, vault.ErrNotFound) {
			return folder{}, nil
		}
		if err != nil {
			return folder{}, err
		}
	}
	return found, nil
}

// wholeVault stands for the parent of the topmost folders.
var wholeVault = folder{ID: top}

// descendants lists all folders below one, except personal ones.
func (v *Vault) descendants(ctx context.Context, id int) ([]folder, error) {
	query := url.Values{"filter.parentFolderId": {strconv.Itoa(id)}}
	if id == top {
		query = nil // Secret Server Cloud refuses a search below -1
	}
	all, err := list(ctx, v, foldersPath, query, func(f folder) int { return f.ID })
	if err != nil {
		return nil, err
	}
	parent := make(map[int]int, len(all))
	personal := map[int]bool{}
	for _, f := range all {
		if f.ID <= 0 || f.ParentID == nil {
			return nil, fmt.Errorf("a folder without id or parent in the list (%w)", vault.ErrUnavailable)
		}
		parent[f.ID] = f.parent()
		if f.Personal || f.parent() == top && f.Name == personalFolders {
			personal[f.ID] = true
		}
	}
	return slices.DeleteFunc(all, func(f folder) bool {
		if f.ID == id {
			return true // some servers may count a folder among its descendants
		}
		for n, steps := f.ID, 0; steps <= len(all); steps++ {
			if personal[n] {
				return true
			}
			up, ok := parent[n]
			if !ok {
				break
			}
			n = up
		}
		return false
	}), nil
}

// child finds the folder directly below parent whose folded name equals that of name. A
// vault that distinguishes case may have several; then it returns the one with exactly this
// name, or the oldest.
func (v *Vault) child(ctx context.Context, parent int, name string) (folder, error) {
	all, err := v.namesakes(ctx, parent, name)
	if err != nil {
		return folder{}, err
	}
	if len(all) == 0 {
		return folder{}, fmt.Errorf("no folder %q below folder %d: %w", name, parent, vault.ErrNotFound)
	}
	if i := slices.IndexFunc(all, func(f folder) bool { return f.Name == name }); i >= 0 {
		return all[i], nil
	}
	return slices.MinFunc(all, func(a, b folder) int { return cmp.Compare(a.ID, b.ID) }), nil
}

// namesakes returns the folders directly below parent whose folded name equals that of
// name. It first lets the server search for the name. Only if there are none, it looks
// through all children, because the server may distinguish names such as Ａ and A.
func (v *Vault) namesakes(ctx context.Context, parent int, name string) ([]folder, error) {
	query := url.Values{"filter.parentFolderId": {strconv.Itoa(parent)}, "filter.limitToDirectDescendents": {"true"}}
	if parent == top {
		query = url.Values{"filter.onlyIncludeRootFolders": {"true"}}
	}
	narrow := maps.Clone(query)
	narrow.Set("filter.searchText", searchText(name))
	folded := vault.Fold(name)
	for _, q := range []url.Values{narrow, query} {
		var found []folder
		seen := map[int]bool{}
		err := scan(ctx, v, foldersPath, q, func(f folder) {
			if f.ID > 0 && f.parent() == parent && !f.Personal && !seen[f.ID] && vault.Fold(f.Name) == folded {
				found = append(found, f)
				seen[f.ID] = true
			}
		})
		if len(found) > 0 || err != nil && !errors.Is(err, vault.ErrInvalid) { // the server cannot search for this text
			return found, err
		}
	}
	return nil, nil
}

// searchText returns a beginning of name that fits into a URL. IIS accepts 2048 characters.
func searchText(name string) string {
	for i, r := range name {
		if len(url.QueryEscape(name[:i]+string(r))) > 1000 {
			return strings.TrimSpace(name[:i])
		}
	}
	return name
}

// fetch reads one folder from the server.
func (v *Vault) fetch(ctx context.Context, id int) (folder, error) {
	var f folder
	if err := v.client.do(ctx, read(foldersPath+"/"+strconv.Itoa(id), nil), &f); err != nil {
		return f, err
	}
	if f.ID != id {
		return f, fmt.Errorf("GET %s/%d: the answer is about folder %d (%w)", foldersPath, id, f.ID, vault.ErrUnavailable)
	}
	return f, nil
}

// CreateRoot implements [vault.Vault]. It makes topmost folders without inheritance, because
// Secret Server demands that. Only the account sees them until somebody grants access.
func (v *Vault) CreateRoot(ctx context.Context) (sync.Folder, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	at := wholeVault
	for _, name := range v.root {
		found, err := v.child(ctx, at.ID, name)
		if errors.Is(err, vault.ErrNotFound) {
			found, err = v.makeFolder(ctx, at.ID, name)
			if errors.Is(err, vault.ErrNameTaken) || errors.Is(err, vault.ErrUnanswered) {
				// Somebody else made it, or we did but the answer was lost.
				if now, lookErr := v.child(ctx, at.ID, name); lookErr == nil {
					found, err = now, nil
				}
			}
		}
		if err != nil {
			return sync.Folder{}, fmt.Errorf("make the root: %w", err)
		}
		at = found
	}
	v.remember(at)
	v.mu.Lock()
	v.rootID = at.ID
	v.mu.Unlock()
	return at.value(), nil
}

// Create implements [vault.Vault]: one POST for the folder and one for the mark.
func (v *Vault) Create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	parent, err := v.parentNumber(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	if err := v.checkName(name); err != nil {
		return sync.Folder{}, err
	}
	if err := checkMark(m); err != nil {
		return sync.Folder{}, err
	}
	made, err := v.makeFolder(ctx, parent, name)
	if err != nil {
		return sync.Folder{}, err
	}
	value := made.value()
	if err := v.writeMark(ctx, made.ID, m); err != nil {
		if errors.Is(err, vault.ErrUnanswered) {
			// The folder certainly exists; only its mark is in doubt.
			err = fmt.Errorf("%w: %v", vault.ErrUnavailable, err)
		}
		return value, fmt.Errorf("mark the new folder: %w", err)
	}
	value.Mark = m
	return value, nil
}

// makeFolder sends the POST. If the answer is lost, it looks for the folder and retries if
// there is none. If there is one, it may be somebody else's: the error wraps
// [vault.ErrUnanswered], and the caller decides.
func (v *Vault) makeFolder(ctx context.Context, parent int, name string) (folder, error) {
	inherit := parent != top
	args := folderArgs{Name: name, ParentID: parent, TypeID: 1,
		InheritPermissions: inherit, InheritSecretPolicy: inherit, SecretPolicyID: json.RawMessage(`-1`)}
	var made folder
	var unanswered error // of the last try
	err := v.client.retry.Do(ctx, func(n int) error {
		if n > 1 {
			if there, err := v.namesakes(ctx, parent, name); err != nil || len(there) > 0 {
				return unanswered
			}
		}
		made = folder{}
		err := v.client.do(ctx, change(http.MethodPost, foldersPath, args), &made)
		switch {
		case err == nil && made.ID <= 0:
			err = fmt.Errorf("POST %s: no id in the answer (%w)", foldersPath, vault.ErrUnanswered)
		case err == nil && made.parent() != parent:
			return fmt.Errorf("POST %s: folder %d was made below folder %d, not below %d", foldersPath, made.ID, made.parent(), parent)
		case err == nil:
			return nil
		}
		if errors.Is(err, vault.ErrUnanswered) {
			unanswered = err
			return httpclient.Again(err, 0)
		}
		err = v.explain(ctx, err, 0, parent, name)
		if unanswered != nil && errors.Is(err, vault.ErrNameTaken) {
			return unanswered // perhaps we made it a moment ago
		}
		return err
	}, nil)
	if err != nil {
		return folder{}, err
	}
	v.remember(made)
	return made, nil
}

// Update implements [vault.Vault]. It sends one PUT with every field from the last listing.
// If the answer is lost, it reads the folder and repeats the PUT if it was not carried out.
//
// With CWVAULT_ACCESS=preserve a folder that inherits its permissions keeps them; see
// movePreserving.
func (v *Vault) Update(ctx context.Context, id, parentID, name string) (sync.Folder, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	n, err := number(id)
	if err != nil {
		return sync.Folder{}, err
	}
	parent, err := v.parentNumber(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	if err := v.checkName(name); err != nil {
		return sync.Folder{}, err
	}
	f, ok := v.record(n)
	if !ok || !f.whole() {
		mark := f.mark
		if f, err = v.fetch(ctx, n); err != nil {
			return sync.Folder{}, err
		}
		f.mark = mark
	}
	if f.ParentID == nil || f.InheritPermissions == nil {
		return sync.Folder{}, fmt.Errorf("folder %d: the server does not state its parent and whether it inherits permissions, and a change must send both back", n)
	}
	v.mu.Lock()
	isRoot := n == v.rootID
	v.mu.Unlock()
	if isRoot {
		return sync.Folder{}, fmt.Errorf("folder %d is the root, which stays as it is: %w", n, vault.ErrInvalid)
	}
	if f.parent() != parent && v.below(parent, n) {
		return sync.Folder{}, fmt.Errorf("folder %d cannot be moved below itself: %w", n, vault.ErrInvalid)
	}
	want := f
	want.Name, want.ParentID = name, &parent
	if parent == top {
		want.InheritPermissions = new(bool) // there is no parent to inherit from
	}
	var got folder
	if v.preserve && want.inherits() && f.parent() != parent {
		got, err = v.movePreserving(ctx, f, want)
	} else {
		got, err = v.put(ctx, want)
	}
	if err != nil {
		return sync.Folder{}, err
	}
	return got.value(), nil
}

// checkName refuses what [Vault.Names] does not allow.
func (v *Vault) checkName(name string) error {
	switch rules := v.names; {
	case name == "" || strings.TrimSpace(name) != name || strings.ContainsAny(name, `\`+rules.Forbidden) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%q is not a valid folder name: %w", name, vault.ErrInvalid)
	case rules.Length(name) > rules.MaxLength:
		return fmt.Errorf("the name %q is longer than %d: %w", name, rules.MaxLength, vault.ErrInvalid)
	}
	return nil
}

// put changes the folder to want and returns the server's new state of it.
func (v *Vault) put(ctx context.Context, want folder) (folder, error) {
	path := foldersPath + "/" + strconv.Itoa(want.ID)
	args := folderArgs{ID: want.ID, Name: want.Name, ParentID: want.parent(), TypeID: max(want.TypeID, 1),
		InheritPermissions: want.inherits(), SecretPolicyID: want.SecretPolicyID,
		InheritSecretPolicy: want.InheritSecretPolicy == nil || *want.InheritSecretPolicy}
	var got folder
	err := v.client.retry.Do(ctx, func(n int) error {
		got = folder{}
		err := v.client.do(ctx, change(http.MethodPut, path, args), &got)
		if err == nil {
			return nil
		}
		if !errors.Is(err, vault.ErrUnanswered) {
			return v.explain(ctx, err, want.ID, want.parent(), want.Name)
		}
		now, lookErr := v.fetch(ctx, want.ID)
		if lookErr != nil {
			return err
		}
		if now.Name == want.Name && now.parent() == want.parent() && now.inherits() == want.inherits() {
			got = now
			return nil
		}
		return httpclient.Again(err, 0)
	}, nil)
	if err != nil {
		return folder{}, err
	}
	if got.ID != want.ID || got.parent() != want.parent() || vault.Fold(got.Name) != vault.Fold(want.Name) {
		return folder{}, fmt.Errorf("PUT %s: folder %d is now %q below folder %d, not %q below %d",
			path, got.ID, got.Name, got.parent(), want.Name, want.parent())
	}
	got.mark = want.mark
	v.remember(got)
	if got.InheritPermissions != nil && got.inherits() != want.inherits() {
		return folder{}, fmt.Errorf("PUT %s: done, but the server changed whether the folder inherits permissions to %t; check who can see it",
			path, got.inherits())
	}
	return got, nil
}

// below reports whether the folder is ancestor or is known to be below it.
func (v *Vault) below(id, ancestor int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for range len(v.records) + 1 {
		if id == ancestor {
			return true
		}
		f, ok := v.records[id]
		if !ok {
			return false
		}
		id = f.parent()
	}
	return false
}

// Find implements [vault.Vault].
func (v *Vault) Find(ctx context.Context, parentID, name string) (sync.Folder, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	parent, err := v.parentNumber(parentID)
	if err != nil {
		return sync.Folder{}, err
	}
	f, err := v.child(ctx, parent, name)
	if err != nil {
		return sync.Folder{}, err
	}
	if f.mark, err = v.readMark(ctx, f.ID); err != nil {
		return sync.Folder{}, fmt.Errorf("read the mark of folder %d: %w", f.ID, err)
	}
	v.remember(f)
	return f.value(), nil
}

// saysTaken recognises the refusal of a duplicate name by its text. The vendor documents
// that duplicates are refused, but not the code. It is only needed for names of folders that
// the account cannot see.
var saysTaken = regexp.MustCompile(`(?i)same name|already exists|duplicate`)

// explain finds out why a change was refused: whether the server is in read-only mode, which
// folder is missing, or whether the name is taken. id is 0 for a new folder.
func (v *Vault) explain(ctx context.Context, err error, id, parent int, name string) error {
	var failed *Error
	if !errors.As(err, &failed) || !turnedDown(err) || failed.kind == nil {
		return err
	}
	because := func(kind error) error {
		changed := *failed
		changed.kind = kind
		return &changed
	}
	if v.client.readOnly(ctx, err) {
		return because(vault.ErrReadOnly)
	}
	for _, n := range []int{id, parent} {
		if n <= 0 {
			continue
		}
		if _, lookErr := v.fetch(ctx, n); errors.Is(lookErr, vault.ErrNotFound) {
			return fmt.Errorf("folder %d cannot be seen: %w", n, because(vault.ErrNotFound))
		} else if lookErr != nil {
			return err
		}
	}
	if failed.denied() {
		return because(vault.ErrNotAllowed)
	}
	others, _ := v.namesakes(ctx, parent, name)
	if slices.ContainsFunc(others, func(f folder) bool { return f.ID != id }) || saysTaken.MatchString(failed.Message) {
		return because(vault.ErrNameTaken)
	}
	return err
}
