package secretservertest

import (
	"slices"
	"strings"
)

// FolderSync is the configuration of the server's own Folder Synchronization
// with ConnectWise.
type FolderSync struct {
	Method         string // None (as is ""), LegacyDatabaseIntegration or ApiIntegration
	Days           int
	Hours          int
	Minutes        int // the interval between two runs, with Days and Hours
	AllFolders     bool
	FolderID       int // what is synchronized unless AllFolders; 0 for not set
	SiteURL        string
	CompanyID      string // the ConnectWise login company
	Credentials    int    // id of the secret with the integrator's login; 0 for not set
	Structure      string
	DaysToKeepLogs int
}

const syncOff = "None"

var syncMethods = []string{syncOff, "LegacyDatabaseIntegration", "ApiIntegration"}

// syncSQL are the settings of the database method, which the simulator keeps
// but does nothing with. The password is never answered.
type syncSQL struct {
	location, database, username, view string
}

// SetFolderSync sets the configuration of the built-in Folder Synchronization.
// The simulator does not run it.
func (s *Server) SetFolderSync(to FolderSync) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to.Method == "" {
		to.Method = syncOff
	}
	s.world.sync = to
	s.world.generation++
}

// synchronized reports whether the built-in Folder Synchronization is on and
// looks after f.
func (s *Server) synchronized(f *folder) bool {
	y := &s.world.sync
	if y.Method == syncOff {
		return false
	}
	top := s.world.folders[y.FolderID]
	return y.AllFolders || top != nil && f.within(top)
}

type folderSyncModel struct {
	CompanyID                 string  `json:"companyId"`
	DaysToKeepOperationalLogs int     `json:"daysToKeepOperationalLogs"`
	FolderStructure           string  `json:"folderStructure"`
	IntegratorCredentials     *int    `json:"integratorCredentials"`
	IntegratorCredentialsName *string `json:"integratorCredentialsName"`
	IntervalDays              int     `json:"intervalDays"`
	IntervalHours             int     `json:"intervalHours"`
	IntervalMinutes           int     `json:"intervalMinutes"`
	SiteURL                   string  `json:"siteUrl"`
	SQLCustomView             *string `json:"sqlCustomView"`
	SQLPassword               *string `json:"sqlPassword"`
	SQLServerLocation         *string `json:"sqlServerLocation"`
	SQLUsername               *string `json:"sqlUsername"`
	SyncAllFolders            bool    `json:"syncAllFolders"`
	SyncFolderID              *int    `json:"syncFolderId"`
	SyncMethodType            string  `json:"syncMethodType"`
}

func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func (s *Server) folderSyncModel() folderSyncModel {
	y, sql := s.world.sync, s.world.sql
	m := folderSyncModel{
		CompanyID: y.CompanyID, DaysToKeepOperationalLogs: y.DaysToKeepLogs, FolderStructure: y.Structure,
		IntegratorCredentials: orNull(y.Credentials), IntervalDays: y.Days, IntervalHours: y.Hours, IntervalMinutes: y.Minutes,
		SiteURL: y.SiteURL, SQLCustomView: orNull(sql.view), SQLServerLocation: orNull(sql.location), SQLUsername: orNull(sql.username),
		SyncAllFolders: y.AllFolders, SyncFolderID: orNull(y.FolderID), SyncMethodType: y.Method,
	}
	if x := s.world.secrets[y.Credentials]; x != nil {
		m.IntegratorCredentialsName = &x.Name
	}
	return m
}

func getFolderSync(s *Server, c *call) (any, error) {
	switch {
	case s.quirks.NoFolderSync:
		return nil, notFound("Not Found")
	case !c.user.may(ViewConnectWiseIntegration) && !c.user.may(AdministerConnectWiseIntegration):
		return nil, denied()
	}
	return s.folderSyncModel(), nil
}

// folderSyncPatch is the body of the call that changes the setting.
type folderSyncPatch struct {
	CompanyID                 *dirty[string]
	DaysToKeepOperationalLogs *dirty[int]
	FolderStructure           *dirty[string]
	IntegratorCredentials     *dirty[int]
	IntervalDays              *dirty[int]
	IntervalHours             *dirty[int]
	IntervalMinutes           *dirty[int]
	SiteURL                   *dirty[string]
	SQLCustomView             *dirty[string]
	SQLDatabaseName           *dirty[string]
	SQLServerLocation         *dirty[string]
	SQLUsername               *dirty[string]
	SyncAllFolders            *dirty[bool]
	SyncFolderID              *dirty[int]
	SyncMethodType            *dirty[string]
}

func patchFolderSync(s *Server, c *call) (any, error) {
	if s.quirks.NoFolderSync {
		return nil, notFound("Not Found")
	}
	args, err := decode[struct{ Data folderSyncPatch }](s, c)
	if err != nil {
		return nil, err
	}
	to, sql := s.world.sync, s.world.sql
	// Who may change it must also see the folder that it works on.
	sees := func(id int) bool {
		f := s.world.folders[id]
		return id == 0 || f != nil && c.user.role(f) >= viewFolder
	}
	if !c.user.may(AdministerConnectWiseIntegration) || !sees(to.FolderID) {
		return nil, denied()
	}
	d := args.Data
	d.CompanyID.set(&to.CompanyID)
	d.DaysToKeepOperationalLogs.set(&to.DaysToKeepLogs)
	d.FolderStructure.set(&to.Structure)
	d.IntegratorCredentials.set(&to.Credentials)
	d.IntervalDays.set(&to.Days)
	d.IntervalHours.set(&to.Hours)
	d.IntervalMinutes.set(&to.Minutes)
	d.SiteURL.set(&to.SiteURL)
	d.SQLCustomView.set(&sql.view)
	d.SQLDatabaseName.set(&sql.database)
	d.SQLServerLocation.set(&sql.location)
	d.SQLUsername.set(&sql.username)
	d.SyncAllFolders.set(&to.AllFolders)
	d.SyncFolderID.set(&to.FolderID)
	d.SyncMethodType.set(&to.Method)
	if !sees(to.FolderID) {
		return nil, denied()
	}
	if err := s.checkFolderSync(to); err != nil {
		return nil, err
	}
	s.world.sync, s.world.sql = to, sql
	s.world.generation++
	return s.folderSyncModel(), nil
}

// checkFolderSync refuses a setting that does not fit together.
func (s *Server) checkFolderSync(to FolderSync) error {
	switch {
	case !slices.Contains(syncMethods, to.Method):
		return s.invalid("The syncMethodType must be one of %s.", strings.Join(syncMethods, ", "))
	case to.Method == "ApiIntegration" && (to.CompanyID == "" || to.SiteURL == ""):
		return s.invalid("Company ID and site URL are required.")
	case to.Method != syncOff && !to.AllFolders && to.FolderID == 0:
		return s.invalid("The folder to synchronize is required.")
	case to.Method != syncOff && to.Days+to.Hours+to.Minutes <= 0:
		return s.invalid("The interval must be longer than nothing.")
	case to.DaysToKeepLogs < 1:
		return s.invalid("Logs are kept for one day or more.")
	}
	return nil
}
