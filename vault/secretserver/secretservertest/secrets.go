package secretservertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Secret is the state of a secret.
type Secret struct {
	ID               int
	FolderID         int // -1 for none
	Name             string
	Template         string
	Fields           map[string]string // by slug, such as "username"
	Inactive         bool
	CheckOut         bool // must be checked out to be read
	RequiresComment  bool
	RequiresApproval bool
	// OwnPermissions: it does not follow the permissions of its folder but
	// keeps those that it had when this was set.
	OwnPermissions bool
}

func (x *Secret) restricted() bool { return x.CheckOut || x.RequiresComment || x.RequiresApproval }

type secret struct {
	Secret
	folder     *folder // the root for none
	grants     []*grant
	checkedOut *user
	created    time.Time
}

func (x *secret) permissions() []*grant {
	if x.OwnPermissions {
		return x.grants
	}
	return x.folder.permissions()
}

func (u *user) secretRole(x *secret) (r secretRole) {
	for _, g := range x.permissions() {
		if g.secret > r && g.concerns(u) {
			r = g.secret
		}
	}
	return r
}

// AddSecret puts a secret of these field values, by slug, into a folder (-1
// for none) and returns its id. The template is made when it is new.
func (s *Server) AddSecret(folderID int, name, template string, fields map[string]string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.world
	x := &secret{folder: w.mustFolder(folderID), created: w.now()}
	x.Secret = Secret{ID: w.nextID("secret"), FolderID: folderID, Name: name, Template: template, Fields: maps.Clone(fields)}
	w.secrets[x.ID] = x
	w.templateID(template)
	if x.folder.secrets == nil {
		x.folder.secrets = map[int]*secret{}
	}
	x.folder.secrets[x.ID] = x
	w.generation++
	return x.ID
}

// UpdateSecret changes a secret, all but its id and folder.
func (s *Server) UpdateSecret(id int, change func(*Secret)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.world.secrets[id]
	if !ok {
		panic(fmt.Sprintf("secretservertest: no secret %d", id))
	}
	to := x.snapshot()
	change(&to)
	to.ID, to.FolderID = x.ID, x.FolderID
	if to.OwnPermissions && !x.OwnPermissions {
		x.grants = s.world.copyGrants(x.permissions())
	}
	to.Fields = maps.Clone(to.Fields)
	x.Secret = to
	s.world.generation++
}

func (x *secret) snapshot() Secret {
	state := x.Secret
	state.Fields = maps.Clone(x.Fields)
	return state
}

// Secrets is a snapshot of all secrets, by id.
func (s *Server) Secrets() []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Secret
	for _, id := range slices.Sorted(maps.Keys(s.world.secrets)) {
		all = append(all, s.world.secrets[id].snapshot())
	}
	return all
}

// SecretTemplateSummary and TemplateViewModel of the vendor's document.
type (
	template struct {
		Active           bool   `json:"active"`
		HeartbeatEnabled bool   `json:"heartbeatEnabled"`
		ID               int    `json:"id"`
		Name             string `json:"name"`
		PasswordTypeID   *int   `json:"passwordTypeId"`
		PasswordTypeOK   bool   `json:"passwordTypeReady"`
		SecretCount      *int   `json:"secretCount"`
	}
	templateView struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	}
)

const firstTemplate = 6001

// templateID makes the template when it is new.
func (w *world) templateID(name string) int {
	i := slices.Index(w.templates, name)
	if i < 0 {
		i = len(w.templates)
		w.templates = append(w.templates, name)
	}
	return firstTemplate + i
}

func (s *Server) templates() []template {
	list := []template{}
	for i, name := range s.world.templates {
		list = append(list, template{Active: true, ID: firstTemplate + i, Name: name})
	}
	return list
}

type secretSummary struct {
	Active              bool            `json:"active"`
	AutoChangeEnabled   bool            `json:"autoChangeEnabled"`
	CheckedOut          bool            `json:"checkedOut"`
	CheckOutEnabled     bool            `json:"checkOutEnabled"`
	CheckOutUserID      int             `json:"checkOutUserId"`
	CheckOutUserName    *string         `json:"checkOutUserName"`
	CreateDate          string          `json:"createDate"`
	DaysUntilExpiration *int            `json:"daysUntilExpiration"`
	DoubleLockEnabled   bool            `json:"doubleLockEnabled"`
	ExtendedFields      []extendedField `json:"extendedFields"`
	FolderID            int             `json:"folderId"`
	FolderPath          string          `json:"folderPath"`
	HasLauncher         bool            `json:"hasLauncher"`
	HidePassword        bool            `json:"hidePassword"`
	ID                  int             `json:"id"`
	InheritsPermissions bool            `json:"inheritsPermissions"`
	IsOutOfSync         bool            `json:"isOutOfSync"`
	IsRestricted        bool            `json:"isRestricted"`
	LastAccessed        *string         `json:"lastAccessed"`
	LastHeartBeatStatus string          `json:"lastHeartBeatStatus"`
	LastPasswordChange  *string         `json:"lastPasswordChangeAttempt"`
	Name                string          `json:"name"`
	OutOfSyncReason     string          `json:"outOfSyncReason"`
	RequiresApproval    bool            `json:"requiresApproval"`
	RequiresComment     bool            `json:"requiresComment"`
	ResponseCodes       []string        `json:"responseCodes"`
	SecretTemplateID    int             `json:"secretTemplateId"`
	SecretTemplateName  string          `json:"secretTemplateName"`
	SiteID              int             `json:"siteId"`
}

type extendedField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (w *world) secretSummary(x *secret) secretSummary {
	m := secretSummary{
		Active: !x.Inactive, CheckedOut: x.checkedOut != nil, CheckOutEnabled: x.CheckOut, CreateDate: stamp(x.created),
		FolderID: x.FolderID, FolderPath: x.folder.path(), ID: x.ID, InheritsPermissions: !x.OwnPermissions, IsRestricted: x.restricted(),
		LastHeartBeatStatus: "Disabled", Name: x.Name, RequiresApproval: x.RequiresApproval, RequiresComment: x.RequiresComment,
		ResponseCodes: []string{}, SecretTemplateID: w.templateID(x.Template), SecretTemplateName: x.Template, SiteID: 1,
	}
	if u := x.checkedOut; u != nil {
		m.CheckOutUserID, m.CheckOutUserName = u.id, &u.name
	}
	return m
}

type secretItem struct {
	FieldDescription string  `json:"fieldDescription"`
	FieldID          int     `json:"fieldId"`
	FieldName        string  `json:"fieldName"`
	FileAttachmentID *int    `json:"fileAttachmentId"`
	Filename         *string `json:"filename"`
	IsFile           bool    `json:"isFile"`
	IsList           bool    `json:"isList"`
	IsNotes          bool    `json:"isNotes"`
	IsPassword       bool    `json:"isPassword"`
	ItemID           int     `json:"itemId"`
	ItemValue        *string `json:"itemValue"`
	ListType         string  `json:"listType"`
	Slug             string  `json:"slug"`
}

// isPassword tells the fields that a template would declare as passwords.
func isPassword(slug string) bool {
	return strings.Contains(slug, "password") || strings.Contains(slug, "private-key")
}

type secretModel struct {
	AccessRequestWorkflowMapID        *int         `json:"accessRequestWorkflowMapId"`
	Active                            bool         `json:"active"`
	AllowOwnersUnrestrictedSSH        bool         `json:"allowOwnersUnrestrictedSshCommands"`
	AutoChangeEnabled                 bool         `json:"autoChangeEnabled"`
	AutoChangeNextPassword            *string      `json:"autoChangeNextPassword"`
	CheckedOut                        bool         `json:"checkedOut"`
	CheckOutChangePasswordEnabled     bool         `json:"checkOutChangePasswordEnabled"`
	CheckOutEnabled                   bool         `json:"checkOutEnabled"`
	CheckOutIntervalMinutes           int          `json:"checkOutIntervalMinutes"`
	CheckOutMinutesRemaining          int          `json:"checkOutMinutesRemaining"`
	CheckOutUserDisplayName           string       `json:"checkOutUserDisplayName"`
	CheckOutUserID                    int          `json:"checkOutUserId"`
	DoubleLockID                      int          `json:"doubleLockId"`
	EnableInheritPermissions          bool         `json:"enableInheritPermissions"`
	EnableInheritSecretPolicy         bool         `json:"enableInheritSecretPolicy"`
	FailedPasswordChangeAttempts      int          `json:"failedPasswordChangeAttempts"`
	FolderID                          int          `json:"folderId"`
	ID                                int          `json:"id"`
	IsDoubleLock                      bool         `json:"isDoubleLock"`
	IsOutOfSync                       bool         `json:"isOutOfSync"`
	IsRestricted                      bool         `json:"isRestricted"`
	Items                             []secretItem `json:"items"`
	JumpboxRouteID                    *string      `json:"jumpboxRouteId"`
	LastHeartBeatCheck                *string      `json:"lastHeartBeatCheck"`
	LastHeartBeatStatus               string       `json:"lastHeartBeatStatus"`
	LastPasswordChangeAttempt         *string      `json:"lastPasswordChangeAttempt"`
	LauncherConnectAsSecretID         *int         `json:"launcherConnectAsSecretId"`
	Name                              string       `json:"name"`
	OutOfSyncReason                   string       `json:"outOfSyncReason"`
	PasswordTypeWebScriptID           int          `json:"passwordTypeWebScriptId"`
	ProxyEnabled                      bool         `json:"proxyEnabled"`
	RequiresApprovalForAccess         bool         `json:"requiresApprovalForAccess"`
	RequiresComment                   bool         `json:"requiresComment"`
	ResponseCodes                     []string     `json:"responseCodes"`
	RestrictSSHCommands               bool         `json:"restrictSshCommands"`
	SecretPolicyID                    int          `json:"secretPolicyId"`
	SecretTemplateID                  int          `json:"secretTemplateId"`
	SecretTemplateName                string       `json:"secretTemplateName"`
	SessionRecordingEnabled           bool         `json:"sessionRecordingEnabled"`
	SiteID                            int          `json:"siteId"`
	WebLauncherRequiresIncognitoAgent bool         `json:"webLauncherRequiresIncognitoMode"`
}

func (s *Server) secretModel(x *secret) secretModel {
	m := secretModel{
		Active: !x.Inactive, CheckedOut: x.checkedOut != nil, CheckOutEnabled: x.CheckOut, EnableInheritPermissions: !x.OwnPermissions,
		FolderID: x.FolderID, ID: x.ID, IsRestricted: x.restricted(), Items: []secretItem{}, LastHeartBeatStatus: "Disabled", Name: x.Name,
		RequiresApprovalForAccess: x.RequiresApproval, RequiresComment: x.RequiresComment, ResponseCodes: []string{}, SecretPolicyID: none,
		SecretTemplateID: s.world.templateID(x.Template), SecretTemplateName: x.Template, SiteID: 1,
	}
	if u := x.checkedOut; u != nil {
		m.CheckOutUserID, m.CheckOutUserDisplayName = u.id, u.name
	}
	for i, slug := range slices.Sorted(maps.Keys(x.Fields)) {
		value := x.Fields[slug]
		item := secretItem{FieldID: 100 + i, FieldName: slug, ItemID: x.ID*100 + i, IsPassword: isPassword(slug), ListType: "None", Slug: slug}
		if !item.IsPassword || !s.quirks.HidePasswords {
			item.ItemValue = &value
		}
		m.Items = append(m.Items, item)
	}
	return m
}

// secretVar is the secret named in the path, or by secretPath with id 0, if
// the user may read it now. Who has to check it out, give a comment or ask for
// approval first cannot just read it.
func (s *Server) secretVar(c *call) (*secret, error) {
	id, err := s.id(c, "id")
	if err != nil {
		return nil, err
	}
	q := c.query
	checkout, comment, inactive := isTrue(q.flag("autoCheckout")), q.text("autoComment"), isTrue(q.flag("includeInactive"))
	if err := q.problem(s); err != nil {
		return nil, err
	}
	if path := q.text("secretPath"); id == 0 && path != nil {
		id = s.world.secretByPath(*path)
	}
	x := s.world.secrets[id]
	switch {
	case x == nil, c.user.secretRole(x) < viewSecret, x.Inactive && !inactive:
		return nil, denied()
	case x.RequiresApproval:
		return nil, s.invalid("Access to this secret requires approval.")
	case x.RequiresComment && comment == nil:
		return nil, s.invalid("A comment is required to view this secret.")
	case x.CheckOut && x.checkedOut != c.user && (x.checkedOut != nil || !checkout):
		return nil, s.invalid("The secret must be checked out.")
	case x.CheckOut:
		x.checkedOut = c.user
	}
	return x, nil
}

// secretByPath is 0 where there is no such secret.
func (w *world) secretByPath(path string) int {
	cut := strings.LastIndex(path, `\`)
	f := w.byPath(path[:max(cut, 0)])
	if f == nil {
		return 0
	}
	for _, id := range slices.Sorted(maps.Keys(f.secrets)) {
		if strings.EqualFold(f.secrets[id].Name, path[cut+1:]) {
			return id
		}
	}
	return 0
}

func getSecret(s *Server, c *call) (any, error) {
	x, err := s.secretVar(c)
	if err != nil {
		return nil, err
	}
	return s.secretModel(x), nil
}

// getSecretField answers with a bare JSON string.
func getSecretField(s *Server, c *call) (any, error) {
	x, err := s.secretVar(c)
	if err != nil {
		return nil, err
	}
	for slug, value := range x.Fields {
		if strings.EqualFold(slug, c.vars["slug"]) {
			return value, nil
		}
	}
	return nil, s.invalid("The secret has no field '%s'.", c.vars["slug"])
}

type secretFilter struct {
	FolderID           *int    `json:"folderId"`
	IncludeSubFolders  bool    `json:"includeSubFolders"`
	IncludeRestricted  bool    `json:"includeRestricted"`
	IncludeInactive    bool    `json:"includeInactive"`
	IncludeActive      *bool   `json:"includeActive"`
	PermissionRequired *string `json:"permissionRequired"`
	SearchText         *string `json:"searchText"`
	SearchField        *string `json:"searchField"`
	SearchFieldSlug    *string `json:"searchFieldSlug"`
	IsExactMatch       bool    `json:"isExactMatch"`
	DoNotCalculate     bool    `json:"doNotCalculateTotal"`

	need secretRole
}

// The filters that secrets can be searched by here. Others are refused rather
// than silently not applied.
var secretFilters = []string{
	"folderid", "includesubfolders", "includerestricted", "includeinactive", "includeactive", "permissionrequired",
	"searchtext", "searchfield", "searchfieldslug", "isexactmatch", "donotcalculatetotal", "extendedfields", "extfieldscombined",
}

func (s *Server) readSecretFilter(c *call) (secretFilter, error) {
	q := c.query
	for name := range q.values {
		if f, ok := strings.CutPrefix(name, "filter."); ok && !slices.Contains(secretFilters, f) {
			return secretFilter{}, s.invalid("The simulator cannot search secrets by %s.", name)
		}
	}
	filter := secretFilter{
		FolderID:           q.number("filter.folderId"),
		IncludeSubFolders:  isTrue(q.flag("filter.includeSubFolders")),
		IncludeRestricted:  isTrue(q.flag("filter.includeRestricted")),
		IncludeInactive:    isTrue(q.flag("filter.includeInactive")),
		IncludeActive:      q.flag("filter.includeActive"),
		PermissionRequired: q.text("filter.permissionRequired"),
		SearchText:         q.text("filter.searchText"),
		SearchField:        q.text("filter.searchField"),
		SearchFieldSlug:    q.text("filter.searchFieldSlug"),
		IsExactMatch:       isTrue(q.flag("filter.isExactMatch")),
		DoNotCalculate:     isTrue(q.flag("filter.doNotCalculateTotal")),
		need:               listSecret,
	}
	if p := filter.PermissionRequired; p != nil {
		r, ok := parseRole[secretRole](secretRoleNames, *p)
		if !ok || r == noSecretRole {
			q.blame("filter.permissionRequired", *p)
		}
		filter.need = r
	}
	return filter, q.problem(s)
}

func (filter secretFilter) keeps(u *user, x *secret) bool {
	if u.secretRole(x) < filter.need || x.restricted() && !filter.IncludeRestricted || x.Inactive && !filter.IncludeInactive ||
		!x.Inactive && filter.IncludeActive != nil && !*filter.IncludeActive {
		return false
	}
	if filter.SearchText == nil {
		return true
	}
	is := func(text string) bool {
		if filter.IsExactMatch {
			return strings.EqualFold(text, *filter.SearchText)
		}
		return strings.Contains(fold(text), fold(*filter.SearchText))
	}
	field := filter.SearchFieldSlug
	if field == nil {
		field = filter.SearchField
	}
	if field == nil && is(x.Name) {
		return true
	}
	for slug, value := range x.Fields {
		if !isPassword(slug) && (field == nil || strings.EqualFold(slug, *field)) && is(value) {
			return true
		}
	}
	return false
}

func (s *Server) findSecrets(u *user, filter secretFilter) []*secret {
	var found []*secret
	add := func(secrets map[int]*secret) {
		for _, x := range secrets {
			if filter.keeps(u, x) {
				found = append(found, x)
			}
		}
	}
	if filter.FolderID == nil {
		add(s.world.secrets)
		return found
	}
	top := s.world.folders[*filter.FolderID]
	switch {
	case top == nil:
	case filter.IncludeSubFolders:
		top.walk(func(f *folder) { add(f.secrets) })
	default:
		add(top.secrets)
	}
	return found
}

func searchSecrets(s *Server, c *call) (any, error) {
	filter, err := s.readSecretFilter(c)
	if err != nil {
		return nil, err
	}
	page, err := readPaging(s, c.query, map[string]func(a, b *secret) int{
		"id":       func(a, b *secret) int { return cmp.Compare(a.ID, b.ID) },
		"name":     func(a, b *secret) int { return cmp.Compare(a.Name, b.Name) },
		"folderid": func(a, b *secret) int { return cmp.Compare(a.FolderID, b.FolderID) },
	})
	if err != nil {
		return nil, err
	}
	found := cached(s, c, func() []*secret {
		found := s.findSecrets(c.user, filter)
		page.sort(s, found, func(x *secret) int { return x.ID })
		return found
	})
	wanted := append(slices.Clone(c.query.values["filter.extendedfields"]), strings.Split(strings.Join(c.query.values["filter.extfieldscombined"], ","), ",")...)
	return paginate(page, filter, found, func(x *secret) secretSummary {
		m := s.world.secretSummary(x)
		m.ExtendedFields = []extendedField{}
		for _, name := range wanted {
			for slug, value := range x.Fields {
				if strings.EqualFold(slug, name) && !isPassword(slug) {
					m.ExtendedFields = append(m.ExtendedFields, extendedField{Name: name, Value: value})
				}
			}
		}
		return m
	}), nil
}

// secretTotal answers with a bare number.
func secretTotal(s *Server, c *call) (any, error) {
	filter, err := s.readSecretFilter(c)
	if err != nil {
		return nil, err
	}
	return len(s.findSecrets(c.user, filter)), nil
}
