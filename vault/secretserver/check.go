package secretserver

import (
	"cmp"
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

// report is the result of preflight.
type report struct {
	Server   string // address of the Secret Server in use
	Version  string // like 11.7.000061; empty if the server does not say
	Account  string
	Findings []sync.Finding
	Builtin  builtinSync // zero if it cannot be read
	// BuiltinRoot is the path of the folder in the built-in synchronization's
	// setting; empty if there is none or the account cannot see it.
	BuiltinRoot string
}

// seeDocs is the fix for most findings: the document describes how to set up the server.
const seeDocs = "see docs/SECRETSERVER.md"

func (r *report) ok(subject, format string, args ...any) {
	r.Findings = append(r.Findings, sync.Finding{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (r *report) warn(subject, format string, args ...any) {
	r.Findings = append(r.Findings, sync.Finding{Subject: subject, Text: fmt.Sprintf(format, args...), Fix: seeDocs})
}

func (r *report) fail(kind error, subject, format string, args ...any) {
	r.Findings = append(r.Findings, sync.Finding{Subject: subject, Text: fmt.Sprintf(format, args...), Fix: seeDocs, Err: kind})
}

// Check checks everything that a run depends on and changes nothing. It returns sign-in, the
// other findings, then the built-in synchronization's setting as cwvault settings to copy. If
// sign-in fails, there is only its finding, and Err wraps [vault.ErrUnauthorized] or
// [vault.ErrUnavailable].
func (v *Vault) Check(ctx context.Context) []sync.Finding {
	const subject = "sign-in"
	r, err := v.preflight(ctx)
	if err != nil {
		return []sync.Finding{{Subject: subject, Text: err.Error(), Fix: fixSignIn(err), Err: err}}
	}
	findings := append([]sync.Finding{{Subject: subject, Text: "as " + r.Account}}, r.Findings...)
	if settings := r.builtinSettings(); settings != "" {
		findings = append(findings, sync.Finding{Subject: "built-in settings", Text: settings})
	}
	return findings
}

func fixSignIn(err error) string {
	switch {
	case errors.Is(err, vault.ErrUnauthorized):
		return "check CWVAULT_VAULT_USERNAME and CWVAULT_VAULT_PASSWORD"
	case errors.Is(err, vault.ErrNotAllowed):
		return "give the account the right to see all folders below CWVAULT_ROOT"
	}
	return "check CWVAULT_VAULT_URL and CWVAULT_ROOT"
}

// builtinSettings writes the built-in synchronization's setting as settings of cwvault,
// quoted for a shell. It is empty if nothing is set.
func (r *report) builtinSettings() string {
	b := r.Builtin
	if cmp.Or(b.Structure, b.SiteURL, b.CompanyID) == "" {
		return ""
	}
	var settings []string
	for _, s := range []struct{ name, value string }{
		{"CWVAULT_FOLDER_STRUCTURE", b.Structure}, {"CWVAULT_CONNECTWISE_URL", b.SiteURL}, {"CWVAULT_CONNECTWISE_COMPANY_ID", b.CompanyID},
		{"CWVAULT_ROOT", r.BuiltinRoot},
	} {
		if s.value != "" {
			settings = append(settings, s.name+"='"+strings.ReplaceAll(s.value, "'", `'\''`)+"'")
		}
	}
	return strings.Join(settings, " ")
}

// minMetadata is the first version with metadata on folders (release notes of
// 10.9.000064).
var minMetadata = []int{10, 9, 64}

// preflight is Check without the words about sign-in. It only fails if sign-in fails or the
// vault is unavailable.
func (v *Vault) preflight(ctx context.Context) (report, error) {
	var r report
	session, err := v.client.connect(ctx, "")
	if err != nil {
		return r, err
	}
	r.Server = session.base
	if v.client.readOnly(ctx, nil) {
		r.fail(vault.ErrNotAllowed, "server", "%s is in read-only mode", r.Server)
	}
	if skew := session.skew.Round(time.Second); skew.Abs() > 2*time.Minute {
		r.warn("clock", "this machine's clock differs from the server's by %s", skew)
	} else {
		r.ok("clock", "agrees with the server's")
	}
	for _, look := range []func(context.Context, *report) error{v.checkVersion, v.checkRoot, v.checkMetadata, v.checkBuiltin} {
		if err := look(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (v *Vault) checkVersion(ctx context.Context, r *report) error {
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
		r.warn("server", "Secret Server at %s does not state its version", r.Server)
	case slices.Compare(versionNumbers(r.Version), minMetadata) < 0:
		r.warn("server", "Secret Server %s at %s; before 10.9.000064 folders have no metadata, so only the journal holds the marks", r.Version, r.Server)
	default:
		r.ok("server", "Secret Server %s at %s", r.Version, r.Server)
	}
	return nil
}

func versionNumbers(version string) (numbers []int) {
	for _, part := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(part) // anything else counts as 0
		numbers = append(numbers, n)
	}
	return numbers
}

// checkRoot checks the account's role and its rights on the root.
func (v *Vault) checkRoot(ctx context.Context, r *report) error {
	root, err := v.findRoot(ctx)
	if err != nil {
		return fmt.Errorf("find the root: %w", err)
	}
	missing := root.ID == 0 // or the account cannot see it
	if err := v.checkRole(ctx, r, missing && len(v.root) == 1 || len(v.root) == 0); err != nil {
		return err
	}
	if missing {
		return nil // no finding says so, because a run may be allowed to make it
	}
	return v.checkRights(ctx, r, root)
}

// checkRole checks the rights of the account's role. createTop: cwvault makes folders at
// the top of the vault.
func (v *Vault) checkRole(ctx context.Context, r *report, createTop bool) error {
	const subject = "account"
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
	missing, excess := judgeRole(role, createTop)
	switch {
	case len(role) == 0:
		r.warn(subject, "the server does not state the rights of %s's role", r.Account)
	case len(missing) > 0:
		r.fail(vault.ErrNotAllowed, subject, "the role of %s lacks %s", r.Account, strings.Join(missing, ", "))
	default:
		r.ok(subject, "the role of %s has the necessary rights", r.Account)
	}
	if len(excess) > 0 {
		r.warn(subject, "the role of %s allows more than necessary: %s", r.Account, strings.Join(excess, ", "))
	}
	return nil
}

// checkRights checks the account's rights on the root.
func (v *Vault) checkRights(ctx context.Context, r *report, root folder) error {
	const subject = "root folder"
	if root.ID == top {
		r.warn(subject, "the whole vault")
		return nil
	}
	path := v.rootPath(root)
	var details struct {
		Actions []string `json:"actions"`
	}
	query := url.Values{"returnEmptyInsteadOfNoAccessException": {"true"}}
	if err := v.client.do(ctx, read("/v1/folder-details/"+strconv.Itoa(root.ID), query), &details); turnedDown(err) {
		r.warn(subject, "%s exists; the server does not state the account's rights there", path)
		return nil
	} else if err != nil {
		return fmt.Errorf("read rights on the root: %w", err)
	}
	lacks := slices.DeleteFunc([]string{"CreateSubfolder", "EditFolder", "MoveFolder"}, func(action string) bool {
		return slices.Contains(details.Actions, action)
	})
	if len(lacks) > 0 {
		r.fail(vault.ErrNotAllowed, subject, "on %s the account lacks %s; it needs to be Owner there", path, strings.Join(lacks, ", "))
	} else {
		r.ok(subject, "%s, with the rights to create, rename and move", path)
	}
	return nil
}

// judgeRole compares a role with what cwvault needs (vendor documentation, role
// permission list). createTop: cwvault makes folders at the top of the vault.
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

func (v *Vault) checkMetadata(ctx context.Context, r *report) error {
	const subject = "marks"
	_, err := v.findField(ctx)
	switch {
	case errors.Is(err, errNoField):
		r.ok(subject, "the metadata field %s/%s does not exist yet; the first folder creates it, which needs the right Administer Metadata", sectionName, fieldName)
		return nil
	case turnedDown(err):
		r.warn(subject, "cwvault cannot use metadata, so only the journal holds the marks: %v", err)
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
		r.warn(subject, "the server refuses a search for all marks, so cwvault uses the journal's: %v", reading.why)
	case i >= 0 && !sections[i].EntityEdit && !sections[i].Administer:
		r.warn(subject, "anyone who can see a folder can change its mark: make the metadata section %s require edit permission", sectionName)
	case i >= 0 && sections[i].Administer:
		r.warn(subject, "the metadata section %s requires Administer Metadata for writing a mark", sectionName)
	default:
		r.ok(subject, "stored in the metadata field %s/%s, %d so far", sectionName, fieldName, len(reading.marks))
	}
	return nil
}

func (v *Vault) checkBuiltin(ctx context.Context, r *report) error {
	const subject = "built-in Folder Synchronization"
	b, err := v.builtinSync(ctx)
	if turnedDown(err) {
		r.warn(subject, "the account may not see its setting (View ConnectWise Integration); make sure that it is off")
		return nil
	}
	if err != nil {
		return err
	}
	r.Builtin = b
	if id, err := number(b.FolderID); err == nil {
		if f, err := v.fetch(ctx, id); err == nil { // only for the report: refuseBuiltin reads it again
			r.BuiltinRoot = clean(f.Path)
		}
	}
	switch err := v.refuseBuiltin(ctx, b); {
	case errors.Is(err, ErrBuiltinSync):
		r.fail(ErrBuiltinSync, subject, "%v", err)
	case err != nil:
		return err
	case b.On:
		r.ok(subject, "on, for other folders")
	default:
		r.ok(subject, "off")
	}
	return nil
}
