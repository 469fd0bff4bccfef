package secretservertest

import (
	"net/http"
	"slices"
	"strings"
)

// folderPermission is FolderPermissionSummary of the vendor's document;
// FolderPermissionModel is the same with 0 and "" for null.
type folderPermission struct {
	DomainName           *string `json:"domainName"`
	FolderAccessRoleID   int     `json:"folderAccessRoleId"`
	FolderAccessRoleName string  `json:"folderAccessRoleName"`
	FolderID             int     `json:"folderId"`
	GroupID              *int    `json:"groupId"`
	GroupName            *string `json:"groupName"`
	ID                   int     `json:"id"`
	KnownAs              string  `json:"knownAs"`
	SecretAccessRoleID   *int    `json:"secretAccessRoleId"`
	SecretAccessRoleName string  `json:"secretAccessRoleName"`
	UserID               *int    `json:"userId"`
	UserName             *string `json:"userName"`
}

type folderPermissionModel struct {
	FolderAccessRoleID   int    `json:"folderAccessRoleId"`
	FolderAccessRoleName string `json:"folderAccessRoleName"`
	FolderID             int    `json:"folderId"`
	GroupID              int    `json:"groupId"`
	GroupName            string `json:"groupName"`
	ID                   int    `json:"id"`
	KnownAs              string `json:"knownAs"`
	SecretAccessRoleID   *int   `json:"secretAccessRoleId"`
	SecretAccessRoleName string `json:"secretAccessRoleName"`
	UserID               int    `json:"userId"`
	UserName             string `json:"userName"`
}

// listed is a line of a permission list as a folder shows it: an inherited
// line is shown under the id that it has in the list that it comes from.
type listed struct {
	folder *folder
	grant  *grant
}

func (l listed) knownAs() string {
	if u := l.grant.user; u != nil && u.domain != "" {
		return u.domain + `\` + u.name
	}
	return l.grant.name()
}

func (l listed) secretRoleID() *int {
	if l.grant.secret == noSecretRole {
		return nil
	}
	return &secretRoleIDs[l.grant.secret]
}

func (l listed) summary() folderPermission {
	g := l.grant
	p := folderPermission{
		FolderAccessRoleID: folderRoleIDs[g.folder], FolderAccessRoleName: folderRoleNames[g.folder], FolderID: l.folder.id, ID: g.id,
		KnownAs: l.knownAs(), SecretAccessRoleID: l.secretRoleID(), SecretAccessRoleName: secretRoleNames[g.secret],
	}
	if g.group != nil {
		p.GroupID, p.GroupName = &g.group.id, &g.group.name
		return p
	}
	p.UserID, p.UserName = &g.user.id, &g.user.name
	if g.user.domain != "" {
		p.DomainName = &g.user.domain
	}
	return p
}

func (l listed) model() folderPermissionModel {
	g := l.grant
	m := folderPermissionModel{
		FolderAccessRoleID: folderRoleIDs[g.folder], FolderAccessRoleName: folderRoleNames[g.folder], FolderID: l.folder.id, ID: g.id,
		KnownAs: l.knownAs(), SecretAccessRoleID: l.secretRoleID(), SecretAccessRoleName: secretRoleNames[g.secret],
	}
	if g.group != nil {
		m.GroupID, m.GroupName = g.group.id, g.group.name
	} else {
		m.UserID, m.UserName = g.user.id, g.user.name
	}
	return m
}

type permissionFilter struct {
	FolderID       *int    `json:"folderId"`
	GroupID        *int    `json:"groupId"`
	UserID         *int    `json:"userId"`
	SearchText     *string `json:"searchText"`
	DomainID       *int    `json:"domainId"`
	ExcludeOwners  bool    `json:"excludeOwners"`
	ExcludeEditors bool    `json:"excludeEditors"`
	ExcludeViewers bool    `json:"excludeViewers"`
}

func (f *permissionFilter) keeps(g *grant) bool {
	switch {
	case f.GroupID != nil && (g.group == nil || g.group.id != *f.GroupID),
		f.UserID != nil && (g.user == nil || g.user.id != *f.UserID),
		f.SearchText != nil && !strings.Contains(fold(g.name()), fold(*f.SearchText)),
		// The simulator has no directory domains to search by, so only -1, the
		// local accounts, can find anything.
		f.DomainID != nil && (*f.DomainID != none || g.user != nil && g.user.domain != ""),
		f.ExcludeOwners && g.folder == ownFolder,
		f.ExcludeEditors && g.folder == editFolder,
		f.ExcludeViewers && g.folder == viewFolder:
		return false
	}
	return true
}

func searchPermissions(s *Server, c *call) (any, error) {
	q := c.query
	filter := permissionFilter{
		FolderID: q.number("filter.folderId"), GroupID: q.number("filter.groupId"), UserID: q.number("filter.userId"),
		SearchText: q.text("filter.searchText"), DomainID: q.number("filter.domainId"),
		ExcludeOwners:  isTrue(q.flag("filter.excludeOwners")),
		ExcludeEditors: isTrue(q.flag("filter.excludeEditors")),
		ExcludeViewers: isTrue(q.flag("filter.excludeViewers")),
	}
	page, err := readPaging(s, q, map[string]func(a, b listed) int{
		"knownas": func(a, b listed) int { return strings.Compare(a.knownAs(), b.knownAs()) },
	})
	if err != nil {
		return nil, err
	}
	var folders []*folder
	if filter.FolderID != nil {
		f, err := s.visible(c.user, *filter.FolderID)
		if err != nil {
			return nil, err
		}
		folders = append(folders, f)
	} else {
		for _, f := range s.world.order {
			if c.user.role(f) >= viewFolder {
				folders = append(folders, f)
			}
		}
	}
	var found []listed
	for _, f := range folders {
		for _, g := range f.permissions() {
			if filter.keeps(g) {
				found = append(found, listed{f, g})
			}
		}
	}
	page.sort(s, found, func(l listed) int { return l.grant.id })
	return paginate(page, filter, found, listed.summary), nil
}

func permissionStub(s *Server, c *call) (any, error) {
	id := c.query.number("folderId")
	if err := c.query.problem(s); err != nil {
		return nil, err
	}
	if id == nil {
		return nil, s.invalid("folderId is required.")
	}
	f, err := s.visible(c.user, *id)
	if err != nil {
		return nil, err
	}
	return folderPermissionModel{
		FolderAccessRoleID: folderRoleIDs[viewFolder], FolderAccessRoleName: folderRoleNames[viewFolder], FolderID: f.id,
		SecretAccessRoleID: &secretRoleIDs[viewSecret], SecretAccessRoleName: secretRoleNames[viewSecret],
	}, nil
}

// permissionVar finds the line named in the path, in a folder that the user can see.
func (s *Server) permissionVar(c *call) (listed, error) {
	id, err := s.id(c, "id")
	if err != nil {
		return listed{}, err
	}
	for _, f := range s.world.order {
		for _, g := range f.grants {
			if g.id == id && c.user.role(f) >= viewFolder {
				return listed{f, g}, nil
			}
		}
	}
	return listed{}, denied()
}

func getPermission(s *Server, c *call) (any, error) {
	l, err := s.permissionVar(c)
	if err != nil {
		return nil, err
	}
	return l.model(), nil
}

// changeable refuses to let the user change the permissions of f. One that
// inherits is given a list of its own first if breakInheritance says so.
func (s *Server) changeable(u *user, f *folder, breakInheritance *bool) error {
	if !u.may(AdministerFolders) || u.role(f) < ownFolder {
		return denied()
	}
	if !f.inherits {
		return nil
	}
	if breakInheritance != nil && !*breakInheritance {
		return &refusal{http.StatusBadRequest, badRequest{Message: "API_PermissionsAreInherited"}}
	}
	s.world.ownList(f)
	return nil
}

func (s *Server) roles(folderName, secretName string) (folderRole, secretRole, error) {
	fr, ok := parseRole[folderRole](folderRoleNames, folderName)
	if !ok {
		return 0, 0, s.invalid("The folderAccessRoleName must be one of View, Edit, Add Secret, Owner.")
	}
	sr, ok := parseRole[secretRole](secretRoleNames, secretName)
	if !ok {
		return 0, 0, s.invalid("The secretAccessRoleName must be one of View, Edit, List, Owner, None.")
	}
	return fr, sr, nil
}

func (w *world) party(userID, groupID *int) (u *user, g *group) {
	if groupID != nil {
		for _, x := range w.groups {
			if x.id == *groupID {
				return nil, x
			}
		}
	} else if userID != nil {
		for _, x := range w.users {
			if x.id == *userID {
				return x, nil
			}
		}
	}
	return nil, nil
}

func createPermission(s *Server, c *call) (any, error) {
	args, err := decode[struct {
		BreakInheritance     *bool
		FolderAccessRoleName string
		FolderID             int
		GroupID              *int
		SecretAccessRoleName string
		UserID               *int
	}](s, c)
	if err != nil {
		return nil, err
	}
	f, err := s.visible(c.user, args.FolderID)
	if err != nil {
		return nil, err
	}
	fr, sr, err := s.roles(args.FolderAccessRoleName, args.SecretAccessRoleName)
	if err != nil {
		return nil, err
	}
	u, g := s.world.party(args.UserID, args.GroupID)
	if (args.UserID == nil) == (args.GroupID == nil) || u == nil && g == nil {
		return nil, s.invalid("One existing groupId or userId is required.")
	}
	if slices.ContainsFunc(f.permissions(), func(x *grant) bool { return x.user == u && x.group == g }) {
		return nil, s.invalid("The user or group already has permissions on this folder.")
	}
	if err := s.changeable(c.user, f, args.BreakInheritance); err != nil {
		return nil, err
	}
	l := listed{f, s.world.newGrant(u, g, fr, sr)}
	f.grants = append(f.grants, l.grant)
	s.world.note(f, c.user, "EDIT PERMISSIONS", l.knownAs()+": "+folderRoleNames[fr])
	return l.model(), nil
}

// updatePermission finds the line by user or group, because an inherited one
// gets an id of its own when inheritance is broken.
func updatePermission(s *Server, c *call) (any, error) {
	l, err := s.permissionVar(c)
	if err != nil {
		return nil, err
	}
	args, err := decode[struct {
		BreakInheritance     *bool
		FolderAccessRoleName string
		FolderID             int
		ID                   int
		SecretAccessRoleName string
	}](s, c)
	if err != nil {
		return nil, err
	}
	f, err := s.visible(c.user, args.FolderID)
	if err != nil {
		return nil, err
	}
	if args.ID != l.grant.id || !slices.Contains(f.permissions(), l.grant) {
		return nil, s.invalid("The id in the body must match the id in the path and belong to the folder.")
	}
	fr, sr, err := s.roles(args.FolderAccessRoleName, args.SecretAccessRoleName)
	if err != nil {
		return nil, err
	}
	if err := s.changeable(c.user, f, args.BreakInheritance); err != nil {
		return nil, err
	}
	own := listed{f, f.grants[slices.IndexFunc(f.grants, func(x *grant) bool { return x.user == l.grant.user && x.group == l.grant.group })]}
	own.grant.folder, own.grant.secret = fr, sr
	s.world.note(f, c.user, "EDIT PERMISSIONS", own.knownAs()+": "+folderRoleNames[fr])
	return own.model(), nil
}

func deletePermission(s *Server, c *call) (any, error) {
	l, err := s.permissionVar(c)
	if err != nil {
		return nil, err
	}
	// A line belongs to a folder that does not inherit, so there is nothing for
	// the parameter breakInheritance to break.
	if err := s.changeable(c.user, l.folder, nil); err != nil {
		return nil, err
	}
	l.folder.grants = slices.DeleteFunc(l.folder.grants, func(x *grant) bool { return x == l.grant })
	s.world.note(l.folder, c.user, "EDIT PERMISSIONS", l.knownAs()+": removed")
	return deletedModel{ID: l.grant.id, ObjectType: "FolderPermission", ResponseCodes: []string{}}, nil
}

// permissionsPatch is the body of a call that changes several lines.
type permissionsPatch struct {
	AddOrUpdateItems []struct {
		FolderAccessRoleID int
		GroupID            *int
		SecretAccessRoleID *int
		UserID             *int
	}
	AllowRemoveOwner   bool
	InheritPermissions *dirty[bool]
	RemoveItems        []struct{ GroupID, UserID *int }
}

// patchPermissions changes some lines and inheritance at once, or nothing.
func patchPermissions(s *Server, c *call) (any, error) {
	f, err := s.visibleVar(c, "id")
	if err != nil {
		return nil, err
	}
	args, err := decode[struct{ Data permissionsPatch }](s, c)
	if err != nil {
		return nil, err
	}
	if !c.user.may(AdministerFolders) || c.user.role(f) < ownFolder {
		return nil, denied()
	}
	inherits := f.inherits
	args.Data.InheritPermissions.set(&inherits)
	if inherits {
		return s.inheritAgain(c, f, args.Data)
	}
	list, err := s.patched(f, args.Data)
	if err != nil {
		return nil, err
	}
	owns := func(g *grant) bool { return g.folder >= ownFolder && g.concerns(c.user) }
	if !args.Data.AllowRemoveOwner && !slices.ContainsFunc(list, owns) {
		return nil, s.invalid("You cannot remove your own access.")
	}
	f.grants, f.inherits = list, false
	s.world.note(f, c.user, "EDIT PERMISSIONS", "changed")
	return map[string]bool{"success": true}, nil
}

// inheritAgain turns inheritance on, or leaves it on.
func (s *Server) inheritAgain(c *call, f *folder, p permissionsPatch) (any, error) {
	switch {
	case f.parent == s.world.root:
		return nil, denied()
	case len(p.AddOrUpdateItems)+len(p.RemoveItems) > 0:
		return nil, &refusal{http.StatusBadRequest, badRequest{Message: "API_PermissionsAreInherited"}}
	case !p.AllowRemoveOwner && c.user.role(f.parent) < ownFolder:
		return nil, s.invalid("You cannot remove your own access.")
	}
	s.world.inherit(f)
	s.world.note(f, c.user, "EDIT PERMISSIONS", "inheritance on")
	return map[string]bool{"success": true}, nil
}

// patched returns the lines that f has after the patch.
func (s *Server) patched(f *folder, p permissionsPatch) ([]*grant, error) {
	list := slices.Clone(f.grants)
	if f.inherits {
		list = s.world.copyGrants(f.permissions())
	}
	without := func(userID, groupID *int) (u *user, g *group, err error) {
		if u, g = s.world.party(userID, groupID); u == nil && g == nil {
			return nil, nil, s.invalid("There is no such user or group.")
		}
		list = slices.DeleteFunc(list, func(x *grant) bool { return x.user == u && x.group == g })
		return u, g, nil
	}
	for _, item := range p.RemoveItems {
		if _, _, err := without(item.UserID, item.GroupID); err != nil {
			return nil, err
		}
	}
	for _, item := range p.AddOrUpdateItems {
		fr := slices.Index(folderRoleIDs, item.FolderAccessRoleID)
		sr := int(noSecretRole)
		if item.SecretAccessRoleID != nil {
			sr = slices.Index(secretRoleIDs, *item.SecretAccessRoleID)
		}
		if fr <= int(noFolderRole) || sr < 0 {
			return nil, s.invalid("There is no such role.")
		}
		u, g, err := without(item.UserID, item.GroupID)
		if err != nil {
			return nil, err
		}
		list = append(list, s.world.newGrant(u, g, folderRole(fr), secretRole(sr)))
	}
	return list, nil
}
