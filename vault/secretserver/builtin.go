package secretserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cwvault/sync"
	"cwvault/vault"
)

// ErrBuiltinSync means that Secret Server's own Folder Synchronization works on the same
// folders. Two writers would undo each other's changes, so no run may begin.
var ErrBuiltinSync = sync.ErrorOf(sync.ErrConfigured, "the built-in ConnectWise Folder Synchronization of Secret Server is on for these folders; "+
	"set its method to None (Admin > Folder Synchronization; its folders stay) and run again with CWVAULT_ADOPT=path")

// builtinSync is the setting of Secret Server's own Folder Synchronization.
type builtinSync struct {
	On         bool
	AllFolders bool   // it works on the whole vault
	FolderID   string // the folder it works on; empty when there is none or AllFolders
	Structure  string // like $TYPE\$STATUS
	SiteURL    string // of ConnectWise
	CompanyID  string // the ConnectWise login company id
}

// builtinSync reads the setting. An account without the right to see it gets an
// error wrapping [vault.ErrNotAllowed] or [vault.ErrNotFound].
func (v *Vault) builtinSync(ctx context.Context) (builtinSync, error) {
	var answer struct {
		Method     string `json:"syncMethodType"` // None, LegacyDatabaseIntegration or ApiIntegration
		AllFolders bool   `json:"syncAllFolders"`
		FolderID   *int   `json:"syncFolderId"`
		SiteURL    string `json:"siteUrl"`
		CompanyID  string `json:"companyId"`
		Structure  string `json:"folderStructure"`
	}
	if err := v.client.do(ctx, read("/v1/configuration/folder-synchronization", nil), &answer); err != nil {
		return builtinSync{}, fmt.Errorf("read the Folder Synchronization setting: %w", err)
	}
	b := builtinSync{
		On: answer.Method != "" && answer.Method != "None", AllFolders: answer.AllFolders,
		Structure: answer.Structure, SiteURL: answer.SiteURL, CompanyID: answer.CompanyID,
	}
	if answer.FolderID != nil {
		b.AllFolders = b.AllFolders || *answer.FolderID == top
		if !b.AllFolders {
			b.FolderID = strconv.Itoa(*answer.FolderID)
		}
	}
	return b, nil
}

// Ready returns an error unless a run may begin: sign-in must work, and the built-in
// synchronization must not work on these folders, which is an error wrapping
// [ErrBuiltinSync]. It ignores that setting if the account may not see it. It costs one
// call besides the sign-in.
func (v *Vault) Ready(ctx context.Context) error {
	b, err := v.builtinSync(ctx)
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
func (v *Vault) refuseBuiltin(ctx context.Context, b builtinSync) error {
	if !b.On {
		return nil
	}
	if b.AllFolders || len(v.root) == 0 {
		return ErrBuiltinSync
	}
	id, err := number(b.FolderID)
	if err != nil {
		return nil // it is on, but for no folder
	}
	theirs, err := v.fetch(ctx, id)
	if errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrNotAllowed) {
		if len(v.root) == 1 {
			return nil // it is not below our root; there the account could see it
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
