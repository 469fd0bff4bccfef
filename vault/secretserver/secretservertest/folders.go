package secretservertest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// fits reports why a folder cannot have this parent and name; f is nil for a
// new one.
func (s *Server) fits(f, parent *folder, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return s.invalid("Folder name is required.")
	case len(utf16.Encode([]rune(name))) > s.quirks.MaxName:
		return s.invalid("Folder name must not be longer than %d characters.", s.quirks.MaxName)
	case strings.ContainsAny(name, s.quirks.ForbiddenInNames):
		return s.invalid("Folder name contains invalid characters.")
	case f != nil && parent.within(f):
		return s.invalid("A folder cannot be moved into itself or a folder below it.")
	}
	if other := parent.children[fold(name)]; other != nil && other != f {
		return s.invalid("A folder with the name '%s' already exists in this location.", name)
	}
	return nil
}

// visible is the folder with this id if the user can see it. One that is not
// there and one that may not be seen are answered alike.
func (s *Server) visible(u *user, id int) (*folder, error) {
	f, ok := s.world.folders[id]
	if !ok || u.role(f) < viewFolder {
		return nil, denied()
	}
	return f, nil
}

// visibleVar is the visible folder named in the path.
func (s *Server) visibleVar(c *call, name string) (*folder, error) {
	id, err := s.id(c, name)
	if err != nil {
		return nil, err
	}
	return s.visible(c.user, id)
}

// parentFor is the folder with this id, or the root for -1, if the user may
// put folders into it.
func (s *Server) parentFor(u *user, id int) (*folder, error) {
	if id == none {
		if !u.may(CreateRootFolders) {
			return nil, denied()
		}
		return s.world.root, nil
	}
	f, err := s.visible(u, id)
	if err == nil && u.role(f) < editFolder {
		err = denied()
	}
	return f, err
}

// FolderModel, FolderSummary and FolderLookup of the vendor's document.
type (
	folderModel struct {
		ChildFolders        []folderModel `json:"childFolders"`
		FolderName          string        `json:"folderName"`
		FolderPath          string        `json:"folderPath"`
		FolderTypeID        int           `json:"folderTypeId"`
		ID                  int           `json:"id"`
		InheritPermissions  bool          `json:"inheritPermissions"`
		InheritSecretPolicy bool          `json:"inheritSecretPolicy"`
		ParentFolderID      int           `json:"parentFolderId"`
		SecretPolicyID      int           `json:"secretPolicyId"`
		SecretTemplates     []template    `json:"secretTemplates"`
	}
	folderSummary struct {
		ID                  int    `json:"id"`
		FolderName          string `json:"folderName"`
		FolderPath          string `json:"folderPath"`
		ParentFolderID      int    `json:"parentFolderId"`
		FolderTypeID        int    `json:"folderTypeId"`
		SecretPolicyID      int    `json:"secretPolicyId"`
		InheritSecretPolicy bool   `json:"inheritSecretPolicy"`
		InheritPermissions  bool   `json:"inheritPermissions"`
	}
	folderLookup struct {
		ID    int    `json:"id"`
		Value string `json:"value"`
	}
)

func (f *folder) model() folderModel {
	return folderModel{
		FolderName: f.name, FolderPath: f.path(), FolderTypeID: f.typeID, ID: f.id, InheritPermissions: f.inherits,
		InheritSecretPolicy: f.inheritsPolicy, ParentFolderID: f.parent.id, SecretPolicyID: f.policyID(),
	}
}

func (f *folder) summary() folderSummary {
	return folderSummary{
		ID: f.id, FolderName: f.name, FolderPath: f.path(), ParentFolderID: f.parent.id, FolderTypeID: f.typeID,
		SecretPolicyID: f.policyID(), InheritSecretPolicy: f.inheritsPolicy, InheritPermissions: f.inherits,
	}
}

type folderFilter struct {
	SearchText               *string `json:"searchText"`
	FolderTypeID             *int    `json:"folderTypeId"`
	ParentFolderID           *int    `json:"parentFolderId"`
	LimitToDirectDescendents *bool   `json:"limitToDirectDescendents"`
	PermissionRequired       *string `json:"permissionRequired"`
	OnlyIncludeRootFolders   bool    `json:"onlyIncludeRootFolders"`
}

func searchFolders(s *Server, c *call) (any, error) {
	return folderPage(s, c, (*folder).summary)
}

func lookupFolders(s *Server, c *call) (any, error) {
	return folderPage(s, c, func(f *folder) folderLookup { return folderLookup{ID: f.id, Value: f.name} })
}

func folderPage[T any](s *Server, c *call, show func(*folder) T) (any, error) {
	q := c.query
	filter := folderFilter{
		SearchText:               q.text("filter.searchText"),
		FolderTypeID:             q.number("filter.folderTypeId"),
		ParentFolderID:           q.number("filter.parentFolderId"),
		LimitToDirectDescendents: q.flag("filter.limitToDirectDescendents"),
		PermissionRequired:       q.text("filter.permissionRequired"),
		OnlyIncludeRootFolders:   isTrue(q.flag("filter.onlyIncludeRootFolders")),
	}
	need := viewFolder
	if filter.PermissionRequired != nil {
		var ok bool
		if need, ok = parseRole[folderRole](folderRoleNames, *filter.PermissionRequired); !ok {
			return nil, s.invalid("The value '%s' is not valid for permissionRequired.", *filter.PermissionRequired)
		}
	}
	page, err := readPaging(s, q, map[string]func(a, b *folder) int{
		"id":             byID,
		"foldername":     func(a, b *folder) int { return cmp.Compare(a.key, b.key) },
		"folderpath":     func(a, b *folder) int { return cmp.Compare(a.path(), b.path()) },
		"parentfolderid": func(a, b *folder) int { return cmp.Compare(a.parent.id, b.parent.id) },
	})
	if err != nil {
		return nil, err
	}
	if s.quirks.RootParent404 && filter.ParentFolderID != nil && *filter.ParentFolderID == none && !filter.OnlyIncludeRootFolders {
		return nil, notFound("Not Found")
	}

	found := cached(s, c, func() []*folder { return s.findFolders(c.user, filter, need, page) })
	if len(found) == 0 && s.quirks.EmptySearch404 {
		return nil, notFound("Not Found")
	}
	return paginate(page, filter, found, show), nil
}

func (s *Server) findFolders(u *user, filter folderFilter, need folderRole, page paging[*folder]) []*folder {
	text := ""
	if filter.SearchText != nil {
		text = fold(*filter.SearchText)
	}
	var found []*folder
	// The role on a folder is that on the folder above whose list it has, so
	// it is worked out once for each list.
	roles := map[*folder]folderRole{}
	add := func(f *folder) {
		holder := f
		for holder.inherits {
			holder = holder.parent
		}
		role, known := roles[holder]
		if !known {
			role = u.role(holder)
			roles[holder] = role
		}
		if role >= need && strings.Contains(f.key, text) && (filter.FolderTypeID == nil || f.typeID == *filter.FolderTypeID) {
			found = append(found, f)
		}
	}

	top := s.world.root
	if filter.ParentFolderID != nil && !filter.OnlyIncludeRootFolders && *filter.ParentFolderID != none {
		top = s.world.folders[*filter.ParentFolderID]
	}
	switch {
	case top == nil:
	case filter.OnlyIncludeRootFolders, filter.ParentFolderID != nil && isTrue(filter.LimitToDirectDescendents):
		for _, f := range top.children {
			add(f)
		}
	default:
		for _, f := range s.world.order {
			if f != top && f.within(top) {
				add(f)
			}
		}
	}
	page.sort(s, found, func(f *folder) int { return f.id })
	return found
}

func folderStub(s *Server, c *call) (any, error) {
	return folderModel{FolderTypeID: 1, InheritPermissions: true, InheritSecretPolicy: true, ParentFolderID: none, SecretPolicyID: none}, nil
}

// pathLookupSince is the version that can look up a folder by path.
var pathLookupSince = version{11, 0, 5}

func getFolder(s *Server, c *call) (any, error) {
	id, err := s.id(c, "id")
	if err != nil {
		return nil, err
	}
	children, path := isTrue(c.query.flag("getAllChildren")), c.query.text("folderPath")
	templates := isTrue(c.query.flag("includeAssociatedTemplates"))
	if err := c.query.problem(s); err != nil {
		return nil, err
	}
	if id == 0 && path != nil && !s.version.before(pathLookupSince) {
		if f := s.world.byPath(*path); f != nil {
			id = f.id
		}
	}
	f, err := s.visible(c.user, id)
	if err != nil {
		return nil, err
	}
	m := f.model()
	if children {
		m.ChildFolders = f.childModels(c.user)
	}
	if templates {
		m.SecretTemplates = s.templates()
	}
	return m, nil
}

func (f *folder) childModels(u *user) []folderModel {
	models := []folderModel{}
	for _, child := range f.sortedChildren() {
		if u.role(child) >= viewFolder {
			m := child.model()
			m.ChildFolders = child.childModels(u)
			models = append(models, m)
		}
	}
	return models
}

// folderArgs is the body of a POST, without id, and of a PUT.
type folderArgs struct {
	ID                  *int
	FolderName          *string
	FolderTypeID        *int
	ParentFolderID      *int
	InheritPermissions  *bool
	InheritSecretPolicy *bool
	SecretPolicyID      *int
}

func createFolder(s *Server, c *call) (any, error) {
	args, err := decode[folderArgs](s, c)
	if err != nil {
		return nil, err
	}
	switch {
	case s.quirks.FullBodyOnly && (args.FolderName == nil || args.FolderTypeID == nil || args.ParentFolderID == nil ||
		args.InheritPermissions == nil || args.InheritSecretPolicy == nil || args.SecretPolicyID == nil):
		return nil, denied()
	case args.FolderName == nil:
		return nil, s.invalid("Folder name is required.")
	case args.FolderTypeID == nil || *args.FolderTypeID < 1 || *args.FolderTypeID > 3:
		return nil, s.invalid("The folderTypeId must be between 1 and 3.")
	case args.ParentFolderID == nil || *args.ParentFolderID < none:
		return nil, s.invalid("The parentFolderId must be -1 or more.")
	case !c.user.may(AdministerFolders):
		return nil, denied()
	}
	parent, err := s.parentFor(c.user, *args.ParentFolderID)
	if err != nil {
		return nil, err
	}
	atRoot := parent == s.world.root
	inherit := args.InheritPermissions == nil || *args.InheritPermissions
	switch {
	case atRoot && inherit:
		return nil, denied()
	case !atRoot && c.user.role(parent) < ownFolder:
		inherit = true // who may only edit the parent makes folders that inherit
	}
	if err := s.fits(nil, parent, *args.FolderName); err != nil {
		return nil, err
	}

	f := s.world.insertFolder(parent, *args.FolderName, c.user)
	f.typeID = *args.FolderTypeID
	if !inherit && !atRoot {
		f.inherits, f.grants = false, []*grant{s.world.newGrant(c.user, nil, ownFolder, ownSecret)}
	}
	f.inheritsPolicy = !atRoot && (args.InheritSecretPolicy == nil || *args.InheritSecretPolicy)
	if args.SecretPolicyID != nil && !f.inheritsPolicy {
		f.policy = *args.SecretPolicyID
	}
	return f.model(), nil
}

// settings are what a PUT or PATCH sets together.
type settings struct {
	parent         *folder
	name           string
	typeID         int
	inherits       bool
	inheritsPolicy bool
	policy         int
}

func (f *folder) settings() settings {
	return settings{parent: f.parent, name: f.name, typeID: f.typeID, inherits: f.inherits, inheritsPolicy: f.inheritsPolicy, policy: f.policyID()}
}

func putFolder(s *Server, c *call) (any, error) {
	f, err := s.visibleVar(c, "id")
	if err != nil {
		return nil, err
	}
	args, err := decode[folderArgs](s, c)
	if err != nil {
		return nil, err
	}
	switch {
	case args.ID == nil || *args.ID != f.id:
		return nil, s.invalid("The id in the body must match the id in the path.")
	case args.FolderName == nil:
		return nil, s.invalid("Folder name is required.")
	case args.FolderTypeID == nil || *args.FolderTypeID < 1 || *args.FolderTypeID > 3:
		return nil, s.invalid("The folderTypeId must be between 1 and 3.")
	}
	to := f.settings()
	to.name, to.typeID = *args.FolderName, *args.FolderTypeID
	if id := args.ParentFolderID; id != nil && *id != f.parent.id {
		if *id < none {
			return nil, s.invalid("The parentFolderId must be -1 or more.")
		}
		if to.parent, err = s.parentFor(c.user, *id); err != nil {
			return nil, err
		}
	}
	if !s.quirks.KeepOmitted {
		to.inherits, to.inheritsPolicy, to.policy = true, to.parent != s.world.root, none
	}
	if args.InheritPermissions != nil {
		to.inherits = *args.InheritPermissions
	}
	if args.InheritSecretPolicy != nil {
		to.inheritsPolicy = *args.InheritSecretPolicy && to.parent != s.world.root
	}
	if args.SecretPolicyID != nil {
		to.policy = *args.SecretPolicyID
	}
	if err := s.update(c.user, f, to); err != nil {
		return nil, err
	}
	return f.model(), nil
}

// update changes a folder if the user may.
func (s *Server) update(u *user, f *folder, to settings) error {
	moves := to.parent != f.parent
	need := editFolder
	if moves || to.inherits != f.inherits {
		need = ownFolder
	}
	toRoot := to.parent == s.world.root
	if !u.may(AdministerFolders) || u.role(f) < need || toRoot && to.inherits {
		return denied()
	}
	if moves && toRoot && f.personal {
		return s.invalid("A personal folder cannot be moved to the root.")
	}
	if s.quirks.SyncLocks && s.synchronized(f) && (moves || to.name != f.name) {
		return s.invalid("The folder is managed by folder synchronization.")
	}
	if err := s.fits(f, to.parent, to.name); err != nil {
		return err
	}

	had := f.permissions()
	s.world.place(f, to.parent, to.name, u.name)
	switch {
	case to.inherits && !f.inherits:
		s.world.inherit(f)
		s.world.note(f, u, "EDIT PERMISSIONS", "inheritance on")
	case !to.inherits && f.inherits:
		if s.quirks.CopyTarget {
			had = to.parent.permissions()
		}
		s.world.breakInheritance(f, had)
		s.world.note(f, u, "EDIT PERMISSIONS", "inheritance off")
	}
	f.typeID, f.inheritsPolicy, f.policy = to.typeID, to.inheritsPolicy && !toRoot, none
	if !f.inheritsPolicy {
		f.policy = to.policy
	}
	s.world.generation++
	return nil
}

type folderBasicModel struct {
	AllowedTemplates          []int              `json:"allowedTemplates"`
	EnableInheritPermissions  bool               `json:"enableInheritPermissions"`
	EnableInheritSecretPolicy bool               `json:"enableInheritSecretPolicy"`
	FolderName                string             `json:"folderName"`
	HasEdit                   bool               `json:"hasEdit"`
	HasOwner                  bool               `json:"hasOwner"`
	IsPersonalFolder          bool               `json:"isPersonalFolder"`
	ParentFolderID            *int               `json:"parentFolderId"`
	ParentFolderPolicyName    string             `json:"parentFolderPolicyName"`
	SecretPolicies            []secretPolicyView `json:"secretPolicies"`
	SecretPolicy              *int               `json:"secretPolicy"`
	SecretTemplates           []templateView     `json:"secretTemplates"`
}

type secretPolicyView struct {
	Active      bool   `json:"active"`
	Description string `json:"secretPolicyDescription"`
	ID          int    `json:"secretPolicyId"`
	Name        string `json:"secretPolicyName"`
}

func policyName(id int) string {
	if id == none {
		return ""
	}
	return fmt.Sprintf("Policy %d", id)
}

// patchFolder can rename and set inheritance, but there is no field for the
// parent, so it cannot move.
func patchFolder(s *Server, c *call) (any, error) {
	f, err := s.visibleVar(c, "id")
	if err != nil {
		return nil, err
	}
	args, err := decode[struct {
		Data struct {
			FolderName                *dirty[string]
			EnableInheritPermissions  *dirty[bool]
			EnableInheritSecretPolicy *dirty[bool]
			SecretPolicy              *dirty[int]
			AllowedTemplates          []int
			Permissons                []any // the vendor's spelling
		}
	}](s, c)
	if err != nil {
		return nil, err
	}
	if len(args.Data.AllowedTemplates) > 0 || len(args.Data.Permissons) > 0 {
		return nil, s.invalid("The simulator sets neither allowed templates nor permissions this way.")
	}
	to := f.settings()
	args.Data.FolderName.set(&to.name)
	args.Data.EnableInheritPermissions.set(&to.inherits)
	args.Data.EnableInheritSecretPolicy.set(&to.inheritsPolicy)
	if p := args.Data.SecretPolicy; p != nil && p.Dirty {
		to.policy = none
		if p.Value != nil {
			to.policy = *p.Value
		}
	}
	if err := s.update(c.user, f, to); err != nil {
		return nil, err
	}
	role := c.user.role(f)
	m := folderBasicModel{
		AllowedTemplates: []int{}, EnableInheritPermissions: f.inherits, EnableInheritSecretPolicy: f.inheritsPolicy,
		FolderName: f.name, HasEdit: role >= editFolder, HasOwner: role >= ownFolder, IsPersonalFolder: f.personal,
		SecretPolicies: []secretPolicyView{}, SecretTemplates: []templateView{},
	}
	if f.parent != s.world.root {
		m.ParentFolderID = &f.parent.id
		m.ParentFolderPolicyName = policyName(f.parent.policyID())
	}
	if p := f.policyID(); p != none {
		m.SecretPolicy = &p
		m.SecretPolicies = append(m.SecretPolicies, secretPolicyView{Active: true, ID: p, Name: policyName(p)})
	}
	return m, nil
}

type deletedModel struct {
	ID            int      `json:"id"`
	ObjectType    string   `json:"objectType"`
	ResponseCodes []string `json:"responseCodes"`
}

func deleteFolder(s *Server, c *call) (any, error) {
	f, err := s.visibleVar(c, "id")
	if err != nil {
		return nil, err
	}
	switch {
	case !c.user.may(AdministerFolders) || c.user.role(f) < ownFolder:
		return nil, denied()
	case s.synchronized(f):
		return nil, s.invalid("A synchronized folder cannot be deleted while folder synchronization is on.")
	case len(f.children) > 0 || len(f.secrets) > 0:
		return nil, s.invalid("The folder is not empty.")
	}
	s.world.note(f.parent, c.user, "DELETE", f.path())
	s.world.remove(f)
	return deletedModel{ID: f.id, ObjectType: "Folder", ResponseCodes: []string{}}, nil
}

type folderAuditSummary struct {
	Action        string `json:"action"`
	AuditFolderID int    `json:"auditFolderId"`
	DateRecorded  string `json:"dateRecorded"`
	DisplayName   string `json:"displayName"`
	Notes         string `json:"notes"`
}

// folderAudit lists the newest entry first.
func folderAudit(s *Server, c *call) (any, error) {
	f, err := s.visibleVar(c, "id")
	if err != nil {
		return nil, err
	}
	page, err := readPaging(s, c.query, map[string]func(a, b auditEntry) int{
		"daterecorded": func(a, b auditEntry) int { return a.at.Compare(b.at) },
	})
	if err != nil {
		return nil, err
	}
	entries := slices.Clone(f.audit)
	page.sort(s, entries, func(e auditEntry) int { return -e.id })
	return paginate(page, struct{}{}, entries, func(e auditEntry) folderAuditSummary {
		return folderAuditSummary{Action: e.action, AuditFolderID: e.id, DateRecorded: stamp(e.at), DisplayName: e.by, Notes: e.notes}
	}), nil
}

type folderDetail struct {
	Actions          []string       `json:"actions"`
	AllowedTemplates []templateView `json:"allowedTemplates"`
	FolderWarning    string         `json:"folderWarning"`
	ID               int            `json:"id"`
	Name             string         `json:"name"`
}

func folderDetails(s *Server, c *call) (any, error) {
	id, err := s.id(c, "id")
	if err != nil {
		return nil, err
	}
	emptyInstead := isTrue(c.query.flag("returnEmptyInsteadOfNoAccessException"))
	if err := c.query.problem(s); err != nil {
		return nil, err
	}
	f, err := s.visible(c.user, id)
	if err != nil {
		if emptyInstead {
			return folderDetail{Actions: []string{}, AllowedTemplates: []templateView{}, ID: id}, nil
		}
		return nil, err
	}
	d := folderDetail{Actions: []string{}, AllowedTemplates: []templateView{}, ID: f.id, Name: f.name}
	role := c.user.role(f)
	for _, a := range []struct {
		action string
		need   folderRole
		manage bool
	}{
		{"CreateSubfolder", editFolder, true},
		{"EditFolder", editFolder, true},
		{"AddSecret", addSecretToFolder, false},
		{"DeleteFolder", ownFolder, true},
		{"MoveFolder", ownFolder, true},
	} {
		if role >= a.need && (!a.manage || c.user.may(AdministerFolders)) {
			d.Actions = append(d.Actions, a.action)
		}
	}
	return d, nil
}
