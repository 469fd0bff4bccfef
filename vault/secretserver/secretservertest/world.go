package secretservertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// admin is the name of the user who owns what the simulator itself makes. It
// cannot sign in.
const admin = "admin"

// everyone is the group that every user is in.
const everyone = "Everyone"

const none = -1 // the id of "no folder" and "no policy" in the API

type user struct {
	id          int
	name        string
	password    string
	domain      string
	otp         string
	permissions map[string]bool
}

func (u *user) may(permission string) bool { return u.permissions[permission] }

type group struct {
	id      int
	name    string
	members map[*user]bool
}

// FolderRole is what somebody may do with a folder. Each role includes the
// lower ones.
type folderRole int

const (
	noFolderRole folderRole = iota
	viewFolder
	addSecretToFolder
	editFolder
	ownFolder
)

var folderRoleNames = []string{"", "View", "Add Secret", "Edit", "Owner"}

// Role ids differ between servers; 7 and 11 were seen on one.
var folderRoleIDs = []int{0, 6, 8, 7, 9}

type secretRole int

const (
	noSecretRole secretRole = iota
	listSecret
	viewSecret
	editSecret
	ownSecret
)

var secretRoleNames = []string{"None", "List", "View", "Edit", "Owner"}
var secretRoleIDs = []int{0, 13, 10, 12, 11}

// parseRole accepts "Add Secret" as well as "AddSecret".
func parseRole[R ~int](names []string, text string) (R, bool) {
	want := strings.ReplaceAll(text, " ", "")
	i := slices.IndexFunc(names, func(n string) bool { return n != "" && strings.EqualFold(strings.ReplaceAll(n, " ", ""), want) })
	return R(max(i, 0)), i >= 0
}

// grant is one line of a permission list. Either user or group is set.
type grant struct {
	id     int
	user   *user
	group  *group
	folder folderRole
	secret secretRole
}

func (g *grant) concerns(u *user) bool {
	return g.user == u || g.group != nil && g.group.members[u]
}

func (g *grant) name() string {
	if g.group != nil {
		return g.group.name
	}
	return g.user.name
}

type auditEntry struct {
	id     int
	action string
	at     time.Time
	by     string
	notes  string
}

type folder struct {
	id       int
	name     string
	key      string // folded name, unique among siblings
	parent   *folder
	children map[string]*folder
	typeID   int
	// inherits tells whether the folder has its parent's permissions; grants
	// is its own list if not.
	inherits       bool
	grants         []*grant
	inheritsPolicy bool
	policy         int // own secret policy, or none
	personal       bool
	audit          []auditEntry
	secrets        map[int]*secret
	metadata       map[int]*metaValue // by field id
}

// permissions are the folder's own or those of the nearest folder above that
// has its own.
func (f *folder) permissions() []*grant {
	for f.inherits {
		f = f.parent
	}
	return f.grants
}

func (f *folder) policyID() int {
	for f.inheritsPolicy {
		f = f.parent
	}
	return f.policy
}

// path is worked out when asked for, so that moving a folder moves the paths
// of all below it at no cost.
func (f *folder) path() string {
	if f.parent == nil {
		return ""
	}
	return f.parent.path() + `\` + f.name
}

// within reports whether f is top or below it.
func (f *folder) within(top *folder) bool {
	for ; f != nil; f = f.parent {
		if f == top {
			return true
		}
	}
	return false
}

func (f *folder) walk(visit func(*folder)) {
	visit(f)
	for _, c := range f.children {
		c.walk(visit)
	}
}

func (f *folder) sortedChildren() []*folder {
	return slices.SortedFunc(maps.Values(f.children), byID)
}

func byID(a, b *folder) int { return cmp.Compare(a.id, b.id) }

// role is what u may do with f, by the permission lists alone.
func (u *user) role(f *folder) (r folderRole) {
	if !u.may(ViewFolders) {
		return noFolderRole
	}
	for _, g := range f.permissions() {
		if g.folder > r && g.concerns(u) {
			r = g.folder
		}
	}
	return r
}

// world is everything that the server keeps.
type world struct {
	now        func() time.Time
	generation int // grows with every change
	lastID     map[string]int
	users      map[string]*user // by lower-case name
	groups     map[string]*group
	folders    map[int]*folder
	order      []*folder // all folders by id, for searches
	root       *folder   // holds the root folders; not a folder itself
	secrets    map[int]*secret
	templates  []string // an id is the position of the name
	sections   map[int]*metaSection
	fields     map[int]*metaField
	values     map[int]*metaValue
	history    []metaHistory
	sync       FolderSync
	sql        syncSQL
}

func newWorld(now func() time.Time) world {
	w := world{
		now:      now,
		lastID:   map[string]int{},
		users:    map[string]*user{},
		groups:   map[string]*group{},
		folders:  map[int]*folder{},
		root:     &folder{id: none, children: map[string]*folder{}, policy: none},
		secrets:  map[int]*secret{},
		sections: map[int]*metaSection{},
		fields:   map[int]*metaField{},
		values:   map[int]*metaValue{},
		sync:     FolderSync{Method: "None", Structure: `$TYPE\$STATUS`, Minutes: 30, DaysToKeepLogs: 30},
	}
	w.groups[strings.ToLower(everyone)] = &group{id: w.nextID("group"), name: everyone, members: map[*user]bool{}}
	w.addUser(admin, "", nil)
	return w
}

func (w *world) nextID(kind string) int {
	w.lastID[kind]++
	return w.lastID[kind]
}

func (w *world) addUser(name, password string, permissions []string) *user {
	u := &user{id: w.nextID("user"), name: name, password: password, permissions: map[string]bool{}}
	for _, p := range permissions {
		u.permissions[p] = true
	}
	w.users[strings.ToLower(name)] = u
	w.groups[strings.ToLower(everyone)].members[u] = true
	return u
}

func (w *world) admin() *user { return w.users[admin] }

// fold maps names that a SQL Server with a case-insensitive collation takes
// for the same to the same key: case, width, Unicode form and trailing spaces
// do not count.
func fold(name string) string {
	return strings.TrimRight(norm.NFC.String(cases.Fold().String(width.Fold.String(norm.NFC.String(name)))), " ")
}

func (w *world) note(f *folder, by *user, action, notes string) {
	w.noteAs(f, by.name, action, notes)
}

func (w *world) noteAs(f *folder, by, action, notes string) {
	f.audit = append(f.audit, auditEntry{id: w.nextID("audit"), action: action, at: w.now(), by: by, notes: notes})
	w.generation++
}

func (w *world) newGrant(u *user, g *group, f folderRole, s secretRole) *grant {
	return &grant{id: w.nextID("permission"), user: u, group: g, folder: f, secret: s}
}

// copyGrants is a list of its own with the same lines.
func (w *world) copyGrants(list []*grant) []*grant {
	own := make([]*grant, len(list))
	for i, g := range list {
		own[i] = w.newGrant(g.user, g.group, g.folder, g.secret)
	}
	return own
}

func (w *world) insertFolder(parent *folder, name string, by *user) *folder {
	f := &folder{
		id: w.nextID("folder"), name: name, key: fold(name), parent: parent, typeID: 1, policy: none,
		children: map[string]*folder{}, inherits: parent != w.root, inheritsPolicy: parent != w.root,
	}
	if !f.inherits {
		f.grants = []*grant{w.newGrant(by, nil, ownFolder, ownSecret)}
	}
	w.folders[f.id] = f
	w.order = append(w.order, f)
	parent.children[f.key] = f
	w.note(f, by, "CREATE", f.path())
	return f
}

// place gives f this parent and name. The caller has checked that they fit.
func (w *world) place(f, parent *folder, name, by string) {
	from := f.path()
	delete(f.parent.children, f.key)
	moved := f.parent != parent
	f.parent, f.name, f.key = parent, name, fold(name)
	parent.children[f.key] = f
	switch to := f.path(); {
	case moved:
		w.noteAs(f, by, "MOVE", from+" -> "+to)
	case from != to:
		w.noteAs(f, by, "EDIT", from+" -> "+to)
	}
}

// breakInheritance leaves f with a list of its own that says the same.
func (w *world) breakInheritance(f *folder, list []*grant) {
	f.grants, f.inherits = w.copyGrants(list), false
}

func (w *world) inherit(f *folder) { f.grants, f.inherits = nil, true }

func (w *world) remove(top *folder) {
	delete(top.parent.children, top.key)
	top.walk(func(f *folder) {
		delete(w.folders, f.id)
		for id := range f.secrets {
			delete(w.secrets, id)
		}
		for _, v := range f.metadata {
			delete(w.values, v.id)
		}
	})
	w.order = slices.DeleteFunc(w.order, func(f *folder) bool { return w.folders[f.id] == nil })
	w.generation++
}

// must get a folder for the methods by which a test or the demo builds a
// world; a wrong id there is a mistake in the caller.
func (w *world) mustFolder(id int) *folder {
	if id == none {
		return w.root
	}
	f, ok := w.folders[id]
	if !ok {
		panic(fmt.Sprintf("secretservertest: no folder %d", id))
	}
	return f
}

func (w *world) mustParty(name string) (*user, *group) {
	if u, ok := w.users[strings.ToLower(name)]; ok {
		return u, nil
	}
	if g, ok := w.groups[strings.ToLower(name)]; ok {
		return nil, g
	}
	panic(fmt.Sprintf("secretservertest: no user or group %q", name))
}

// The methods below build and change the world past the API, as people with
// every right do in the web pages. Those without an error result panic on
// arguments that cannot be meant: an id or name that does not exist, or a name
// that is taken.

// AddUser makes a local user with these role permissions and returns its id.
func (s *Server) AddUser(name, password string, rolePermissions ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.mustBeFree(name)
	s.world.generation++
	return s.world.addUser(name, password, rolePermissions).id
}

func (w *world) mustBeFree(name string) {
	key := strings.ToLower(name)
	if w.users[key] != nil || w.groups[key] != nil {
		panic(fmt.Sprintf("secretservertest: user or group %q exists", name))
	}
}

// SetRolePermissions replaces the role permissions of a user.
func (s *Server) SetRolePermissions(name string, rolePermissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, _ := s.world.mustParty(name)
	u.permissions = map[string]bool{}
	for _, p := range rolePermissions {
		u.permissions[p] = true
	}
	s.world.generation++
}

// AddGroup makes a group of these users and returns its id. The group
// Everyone exists and holds every user.
func (s *Server) AddGroup(name string, members ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.mustBeFree(name)
	g := &group{id: s.world.nextID("group"), name: name, members: map[*user]bool{}}
	for _, m := range members {
		u, _ := s.world.mustParty(m)
		g.members[u] = true
	}
	s.world.groups[strings.ToLower(name)] = g
	s.world.generation++
	return g.id
}

// Grant gives a user or group these roles on a folder: View, Add Secret, Edit
// or Owner on the folder; None, List, View, Edit or Owner on its secrets. It
// replaces what the user or group had there. A folder that inherits gets a list
// of its own first, with what it inherited.
func (s *Server) Grant(folderID int, userOrGroup, onFolder, onSecrets string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(folderID)
	u, g := s.world.mustParty(userOrGroup)
	fr, ok := parseRole[folderRole](folderRoleNames, onFolder)
	sr, ok2 := parseRole[secretRole](secretRoleNames, onSecrets)
	if !ok || !ok2 || f == s.world.root {
		panic(fmt.Sprintf("secretservertest: cannot grant %q, %q on folder %d", onFolder, onSecrets, folderID))
	}
	s.world.ownList(f)
	f.grants = slices.DeleteFunc(f.grants, func(x *grant) bool { return x.user == u && x.group == g })
	f.grants = append(f.grants, s.world.newGrant(u, g, fr, sr))
	s.world.note(f, s.world.admin(), "EDIT PERMISSIONS", userOrGroup+": "+folderRoleNames[fr])
}

// ownList breaks the inheritance of f if there is any.
func (w *world) ownList(f *folder) {
	if f.inherits {
		w.breakInheritance(f, f.permissions())
	}
}

// Revoke takes a user or group off a folder's permissions. A folder that
// inherits gets a list of its own first.
func (s *Server) Revoke(folderID int, userOrGroup string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(folderID)
	u, g := s.world.mustParty(userOrGroup)
	s.world.ownList(f)
	f.grants = slices.DeleteFunc(f.grants, func(x *grant) bool { return x.user == u && x.group == g })
	s.world.note(f, s.world.admin(), "EDIT PERMISSIONS", userOrGroup+": removed")
}

// BreakInheritance gives a folder a permission list of its own, equal to what
// it inherited.
func (s *Server) BreakInheritance(folderID int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(folderID)
	s.world.ownList(f)
	s.world.note(f, s.world.admin(), "EDIT PERMISSIONS", "inheritance off")
}

// Inherit makes a folder, which must not be a root folder, inherit its
// parent's permissions again.
func (s *Server) Inherit(folderID int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(folderID)
	if f.parent == nil || f.parent == s.world.root {
		panic(fmt.Sprintf("secretservertest: root folder %d cannot inherit", folderID))
	}
	s.world.inherit(f)
	s.world.note(f, s.world.admin(), "EDIT PERMISSIONS", "inheritance on")
}

// SetSecretPolicy gives a folder a secret policy of its own; -1 for none.
func (s *Server) SetSecretPolicy(folderID, policyID int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(folderID)
	f.inheritsPolicy, f.policy = false, policyID
	s.world.note(f, s.world.admin(), "EDIT", "secret policy")
}

// AddFolder makes a folder owned by admin and returns its id. Below the root
// (parentID -1) only admin sees it until permissions are granted; elsewhere it
// inherits.
func (s *Server) AddFolder(parentID int, name string) int {
	id, err := s.MakeFolder(parentID, name)
	if err != nil {
		panic("secretservertest: " + err.Error())
	}
	return id
}

// MakeFolder is AddFolder for names that people have typed: it fails where one
// cannot be, or is taken.
func (s *Server) MakeFolder(parentID int, name string) (id int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parent := s.world.mustFolder(parentID)
	if err := s.fits(nil, parent, name); err != nil {
		return 0, fmt.Errorf("add folder %q below %d: %w", name, parentID, err)
	}
	return s.world.insertFolder(parent, name, s.world.admin()).id, nil
}

// AddPersonalFolder makes the personal folder of a user, \Personal Folders\name,
// and returns its id. Only that user sees it.
func (s *Server) AddPersonalFolder(username string) int {
	const all = "Personal Folders"
	s.mu.Lock()
	defer s.mu.Unlock()
	u, _ := s.world.mustParty(username)
	top := s.world.root.children[fold(all)]
	if top == nil {
		top = s.world.insertFolder(s.world.root, all, s.world.admin())
	}
	top.grants = append(top.grants, s.world.newGrant(u, nil, viewFolder, noSecretRole))
	f := s.world.insertFolder(top, u.name, s.world.admin())
	f.personal = true
	s.world.breakInheritance(f, nil)
	f.grants = []*grant{s.world.newGrant(u, nil, ownFolder, ownSecret)}
	return f.id
}

// RenameFolder renames a folder by hand; by is who the audit names.
func (s *Server) RenameFolder(id int, name, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(id)
	if err := s.fits(f, f.parent, name); err != nil {
		return fmt.Errorf("rename folder %d: %w", id, err)
	}
	s.world.place(f, f.parent, name, by)
	return nil
}

// MoveFolder moves a folder by hand; by is who the audit names. As in the web
// pages the folder inherits its new parent's permissions afterwards; a root
// folder keeps those it had.
func (s *Server) MoveFolder(id, parentID int, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, parent := s.world.mustFolder(id), s.world.mustFolder(parentID)
	if err := s.fits(f, parent, f.name); err != nil {
		return fmt.Errorf("move folder %d: %w", id, err)
	}
	if parent == s.world.root {
		s.world.ownList(f)
	}
	s.world.place(f, parent, f.name, by)
	if parent != s.world.root {
		s.world.inherit(f)
	}
	return nil
}

// DeleteFolder deletes a folder with everything in it by hand.
func (s *Server) DeleteFolder(id int, by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.mustFolder(id)
	s.world.noteAs(f.parent, by, "DELETE", f.path())
	s.world.remove(f)
}

// Permission is one line of a folder's permission list.
type Permission struct {
	Name       string // of the user or group
	Group      bool
	FolderRole string
	SecretRole string
}

// Folder is the state of a folder.
type Folder struct {
	ID, ParentID   int // ParentID is -1 for a root folder
	Name, Path     string
	TypeID         int
	Inherits       bool
	Permissions    []Permission // those in force, inherited or not, sorted by name
	InheritsPolicy bool
	PolicyID       int // the secret policy in force, -1 for none
	Personal       bool
	Metadata       map[string]string // by "section/field", nil for none
}

func (f *folder) snapshot() Folder {
	state := Folder{
		ID: f.id, ParentID: f.parent.id, Name: f.name, Path: f.path(), TypeID: f.typeID, Inherits: f.inherits,
		InheritsPolicy: f.inheritsPolicy, PolicyID: f.policyID(), Personal: f.personal, Metadata: f.metadataText(),
	}
	for _, g := range f.permissions() {
		state.Permissions = append(state.Permissions, Permission{
			Name: g.name(), Group: g.group != nil, FolderRole: folderRoleNames[g.folder], SecretRole: secretRoleNames[g.secret]})
	}
	slices.SortFunc(state.Permissions, func(a, b Permission) int { return cmp.Compare(a.Name, b.Name) })
	return state
}

// Folders is a snapshot of all folders, by id.
func (s *Server) Folders() []Folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Folder, len(s.world.order))
	for i, f := range s.world.order {
		all[i] = f.snapshot()
	}
	return all
}

// Folder is a snapshot of one folder.
func (s *Server) Folder(id int) (f Folder, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.world.folders[id]
	if !ok {
		return Folder{}, false
	}
	return found.snapshot(), true
}

// FolderByPath is a snapshot of the folder with this path, such as
// \Clients\Customer, compared without case.
func (s *Server) FolderByPath(path string) (f Folder, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.world.byPath(path)
	if found == nil {
		return Folder{}, false
	}
	return found.snapshot(), true
}

// byPath is nil where there is no such folder.
func (w *world) byPath(path string) *folder {
	f := w.root
	for name := range strings.SplitSeq(strings.Trim(path, `\`), `\`) {
		if f = f.children[fold(name)]; f == nil {
			return nil
		}
	}
	return f
}
