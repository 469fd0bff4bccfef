package secretserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cwvault/sync"
	"cwvault/vault"
)

// ErrBuiltinSync means that Secret Server's own Folder Synchronization works on
// the same folders. Two writers would undo each other's work, so no run may
// begin.
var ErrBuiltinSync = sync.ErrorOf(sync.ErrConfigured, "the built-in ConnectWise Folder Synchronization of Secret Server is on for these folders; "+
	"set its method to None (Administration > Folder Synchronization; its folders stay) and run again with CWVAULT_ADOPT=path")

// BuiltinSync is the setting of Secret Server's own Folder Synchronization.
type BuiltinSync struct {
	On         bool
	Method     string // None, LegacyDatabaseIntegration or ApiIntegration
	AllFolders bool   // it works on the whole vault
	FolderID   string // the folder it works on; empty when there is none or AllFolders
	Structure  string // like $TYPE\$STATUS
	SiteURL    string // of ConnectWise
	CompanyID  string // the ConnectWise login company id
	SecretID   int    // the secret with the integrator credentials; 0 for none
	Interval   time.Duration
}

// BuiltinSync reads the setting. An account without the right to see it gets an
// error wrapping [vault.ErrNotAllowed] or [vault.ErrNotFound].
func (v *Vault) BuiltinSync(ctx context.Context) (BuiltinSync, error) {
	var answer struct {
		Method     string `json:"syncMethodType"`
		Days       int    `json:"intervalDays"`
		Hours      int    `json:"intervalHours"`
		Minutes    int    `json:"intervalMinutes"`
		AllFolders bool   `json:"syncAllFolders"`
		FolderID   *int   `json:"syncFolderId"`
		SiteURL    string `json:"siteUrl"`
		CompanyID  string `json:"companyId"`
		SecretID   *int   `json:"integratorCredentials"`
		Structure  string `json:"folderStructure"`
	}
	if err := v.client.do(ctx, read("/v1/configuration/folder-synchronization", nil), &answer); err != nil {
		return BuiltinSync{}, fmt.Errorf("read the Folder Synchronization setting: %w", err)
	}
	b := BuiltinSync{
		On: answer.Method != "" && answer.Method != "None", Method: answer.Method, AllFolders: answer.AllFolders,
		Structure: answer.Structure, SiteURL: answer.SiteURL, CompanyID: answer.CompanyID,
		Interval: time.Duration((answer.Days*24+answer.Hours)*60+answer.Minutes) * time.Minute,
	}
	if answer.FolderID != nil {
		b.AllFolders = b.AllFolders || *answer.FolderID == top
		if !b.AllFolders {
			b.FolderID = strconv.Itoa(*answer.FolderID)
		}
	}
	if answer.SecretID != nil {
		b.SecretID = *answer.SecretID
	}
	return b, nil
}

// Ready is what must be known before each run: that sign-in works and that the
// built-in synchronization does not work on these folders, else an error
// wrapping [ErrBuiltinSync]. An account that may not see that setting passes.
// It costs one call beside the sign-in.
func (v *Vault) Ready(ctx context.Context) error {
	b, err := v.BuiltinSync(ctx)
	if turnedDown(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return v.refuseBuiltin(ctx, b)
}

// refuseBuiltin returns an error if the built-in synchronization works on the
// root, on a folder above it or on one below it.
func (v *Vault) refuseBuiltin(ctx context.Context, b BuiltinSync) error {
	if !b.On {
		return nil
	}
	if b.AllFolders || len(v.root) == 0 {
		return ErrBuiltinSync
	}
	id, err := number(b.FolderID)
	if err != nil {
		return nil // on, but for no folder
	}
	theirs, err := v.fetch(ctx, id)
	if errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrNotAllowed) {
		if len(v.root) == 1 {
			return nil // it is not below our root, or the account could see it
		}
		return fmt.Errorf("the account cannot see folder %d, which may hold the root: %w", id, ErrBuiltinSync)
	}
	if err != nil {
		return fmt.Errorf("read the folder of the built-in Folder Synchronization: %w", err)
	}
	ours := vault.Fold(`\` + strings.Join(v.root, `\`) + `\`)
	if path := vault.Fold(strings.TrimRight(theirs.Path, `\`) + `\`); strings.HasPrefix(ours, path) || strings.HasPrefix(path, ours) {
		return fmt.Errorf("%s: %w", theirs.Path, ErrBuiltinSync)
	}
	return nil
}

// Level says how a finding matters.
type Level string

const (
	Ok      Level = "ok"
	Warning Level = "warning" // works, but something should be known or changed
	Problem Level = "problem" // does not work
)

// Finding is one thing that [Vault.Preflight] looked at.
type Finding struct {
	Level   Level
	Subject string // like "account" or "root folder"
	Text    string
}

// Report is what [Vault.Preflight] found.
type Report struct {
	Platform bool
	Server   string // address of the Secret Server that is used
	Version  string // like 11.7.000061; empty if the server does not say
	Account  string
	Findings []Finding
	Builtin  BuiltinSync // zero if it cannot be read
	// BuiltinRoot is the path of the folder that the built-in synchronization
	// is set to work on; empty if there is none or it cannot be seen.
	BuiltinRoot string
}

func (r *Report) add(level Level, subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{level, subject, fmt.Sprintf(format, args...)})
}

// minMetadata is the first version with metadata on folders (release notes of
// 10.9.000064).
var minMetadata = []int{10, 9, 64}

// Preflight looks at everything that a run depends on, changing nothing. It
// fails only where nothing can be said: when sign-in fails or the vault is not
// available.
func (v *Vault) Preflight(ctx context.Context) (Report, error) {
	var r Report
	session, err := v.client.connect(ctx, "")
	if err != nil {
		return r, err
	}
	r.Platform, r.Server = session.platform, session.base
	if v.client.readOnly(ctx, nil) {
		r.add(Problem, "server", "%s is in read-only mode", r.Server)
	}
	if skew := session.skew.Round(time.Second); skew.Abs() > 2*time.Minute {
		r.add(Warning, "clock", "this machine's clock differs from the server's by %s", skew)
	} else {
		r.add(Ok, "clock", "agrees with the server's")
	}
	for _, look := range []func(context.Context, *Report) error{v.checkVersion, v.checkRoot, v.checkMetadata, v.checkBuiltin} {
		if err := look(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (v *Vault) checkVersion(ctx context.Context, r *Report) error {
	var answer struct {
		Version string `json:"version"`
		Model   struct {
			Version string `json:"version"`
		} `json:"model"` // as the vendor's PowerShell module reads it
	}
	if err := v.client.do(ctx, read("/v1/version", nil), &answer); err != nil && !turnedDown(err) {
		return fmt.Errorf("read the version: %w", err)
	}
	r.Version = clean(answer.Version + answer.Model.Version)
	switch {
	case r.Version == "":
		r.add(Warning, "server", "Secret Server at %s does not say its version", r.Server)
	case slices.Compare(versionNumbers(r.Version), minMetadata) < 0:
		r.add(Warning, "server", "Secret Server %s at %s; before 10.9.000064 folders have no metadata, so the journal alone holds the marks", r.Version, r.Server)
	default:
		r.add(Ok, "server", "Secret Server %s at %s", r.Version, r.Server)
	}
	return nil
}

func versionNumbers(version string) (numbers []int) {
	for _, part := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(part) // what is no number counts as 0
		numbers = append(numbers, n)
	}
	return numbers
}

// checkRoot looks at the account's role and at what it may do with the root.
func (v *Vault) checkRoot(ctx context.Context, r *Report) error {
	var user struct {
		Name        string `json:"userName"`
		Permissions []struct {
			Name string `json:"name"`
		} `json:"permissions"`
	}
	if err := v.client.do(ctx, read("/v1/users/current", nil), &user); err != nil && !turnedDown(err) {
		return fmt.Errorf("read the account: %w", err)
	}
	r.Account = clean(user.Name)
	role := make([]string, 0, len(user.Permissions))
	for _, p := range user.Permissions {
		role = append(role, clean(p.Name))
	}
	root, err := v.findRoot(ctx)
	if err != nil {
		return fmt.Errorf("find the root: %w", err)
	}
	missing, excess := judgeRole(role, root.ID == 0 && len(v.root) == 1 || len(v.root) == 0)
	switch {
	case len(role) == 0:
		r.add(Warning, "account", "the server does not say what the role of %s allows", r.Account)
	case len(missing) > 0:
		r.add(Problem, "account", "the role of %s lacks %s", r.Account, strings.Join(missing, ", "))
	default:
		r.add(Ok, "account", "the role of %s has what is needed", r.Account)
	}
	if len(excess) > 0 {
		r.add(Warning, "account", "the role of %s allows more than is needed: %s", r.Account, strings.Join(excess, ", "))
	}

	path := v.rootPath(root)
	switch root.ID {
	case 0:
		r.add(Problem, "root folder", "%s does not exist, or the account cannot see it", path)
		return nil
	case top:
		r.add(Warning, "root folder", "the whole vault")
		return nil
	}
	var details struct {
		Actions []string `json:"actions"`
	}
	query := url.Values{"returnEmptyInsteadOfNoAccessException": {"true"}}
	if err := v.client.do(ctx, read("/v1/folder-details/"+strconv.Itoa(root.ID), query), &details); turnedDown(err) {
		r.add(Warning, "root folder", "%s exists; the server does not say what the account may do there", path)
		return nil
	} else if err != nil {
		return fmt.Errorf("read rights on the root: %w", err)
	}
	lacks := slices.DeleteFunc([]string{"CreateSubfolder", "EditFolder", "MoveFolder"}, func(action string) bool {
		return slices.Contains(details.Actions, action)
	})
	if len(lacks) > 0 {
		r.add(Problem, "root folder", "on %s the account lacks %s; it needs to be Owner there", path, strings.Join(lacks, ", "))
	} else {
		r.add(Ok, "root folder", "%s, with the rights to create, rename and move", path)
	}
	return nil
}

// judgeRole compares a role with what cwvault needs (vendor documentation, role
// permission list). createTop: folders are made at the top of the vault.
func judgeRole(role []string, createTop bool) (missing, excess []string) {
	need := []string{"Administer Folders"}
	if createTop {
		need = append(need, "Create Root Folders")
	}
	for _, name := range need {
		if !slices.Contains(role, name) {
			missing = append(missing, name)
		}
	}
	use := append(need, "Administer Metadata")
	for _, name := range role {
		risky := strings.HasPrefix(name, "Administer") || strings.HasPrefix(name, "Delete") ||
			strings.HasPrefix(name, "Unlimited") || name == "Create Root Folders" || name == "Edit Secret" || name == "Own Secret"
		if risky && !slices.Contains(use, name) {
			excess = append(excess, name)
		}
	}
	return missing, excess
}

func (v *Vault) checkMetadata(ctx context.Context, r *Report) error {
	const subject = "marks"
	_, err := v.findField(ctx)
	switch {
	case errors.Is(err, errNoField):
		r.add(Ok, subject, "the metadata field %s/%s is not there yet; the first folder makes it, for which the role needs Administer Metadata", sectionName, fieldName)
		return nil
	case turnedDown(err):
		r.add(Warning, subject, "metadata cannot be used, so the journal alone holds the marks: %v", err)
		return nil
	case err != nil:
		return fmt.Errorf("look up the metadata field: %w", err)
	}
	type section struct {
		ID         int      `json:"metadataFieldSectionId"`
		Name       string   `json:"metadataFieldSectionName"`
		EntityEdit bool     `json:"requiresEntityEdit"`
		Administer bool     `json:"requiresAdministerMetadata"`
		Actions    []string `json:"actions"`
	}
	sections, err := list(ctx, v, metadataPath+"/field-sections", nil, func(s section) int { return s.ID })
	if err != nil && !turnedDown(err) {
		return fmt.Errorf("look up the metadata section: %w", err)
	}
	i := slices.IndexFunc(sections, func(s section) bool { return s.Name == sectionName })
	reading, err := v.searchMarks(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read marks: %w", err)
	case reading.why != nil:
		r.add(Warning, subject, "the server refuses a search for all marks; the journal's are used: %v", reading.why)
	case i >= 0 && !sections[i].EntityEdit && !sections[i].Administer:
		r.add(Warning, subject, "whoever can see a folder can change its mark: let the metadata section %s require edit permission", sectionName)
	case i >= 0 && sections[i].Administer:
		r.add(Warning, subject, "the metadata section %s demands Administer Metadata of whoever writes a mark", sectionName)
	default:
		r.add(Ok, subject, "kept in the metadata field %s/%s, %d so far", sectionName, fieldName, len(reading.marks))
	}
	return nil
}

func (v *Vault) checkBuiltin(ctx context.Context, r *Report) error {
	const subject = "built-in Folder Synchronization"
	b, err := v.BuiltinSync(ctx)
	if turnedDown(err) {
		r.add(Warning, subject, "the account may not see its setting (View ConnectWise Integration); make sure that it is off")
		return nil
	}
	if err != nil {
		return err
	}
	r.Builtin = b
	if id, err := number(b.FolderID); err == nil {
		if f, err := v.fetch(ctx, id); err == nil { // only a hint: what refuses looks for itself
			r.BuiltinRoot = clean(f.Path)
		}
	}
	switch err := v.refuseBuiltin(ctx, b); {
	case errors.Is(err, ErrBuiltinSync):
		r.add(Problem, subject, "%v", err)
	case err != nil:
		return err
	case b.On:
		r.add(Ok, subject, "on, for other folders")
	default:
		r.add(Ok, subject, "off")
	}
	return nil
}
