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

	"cwvault/vault"
)

const permissionsPath = "/v1/folder-permissions"

// Secrets counts the secrets in a folder and in all folders below it. It is a lower
// bound, because it misses secrets that the account may not list.
func (v *Vault) Secrets(ctx context.Context, folderID string) (int, error) {
	id, err := number(folderID)
	if err != nil {
		return 0, err
	}
	query := url.Values{"filter.folderId": {strconv.Itoa(id)}, "filter.includeSubFolders": {"true"}, "filter.includeRestricted": {"true"}}
	var total int
	if err := v.client.do(ctx, read("/v2/secrets/search-total", query), &total); err != nil {
		return 0, fmt.Errorf("count secrets: %w", err)
	}
	return total, nil
}

// permission is one group or user on a folder.
type permission struct {
	ID         int    `json:"id"`
	FolderID   int    `json:"folderId"`
	FolderRole string `json:"folderAccessRoleName"`
	SecretRole string `json:"secretAccessRoleName"`
	GroupID    *int   `json:"groupId"`
	GroupName  string `json:"groupName"`
	UserID     *int   `json:"userId"`
	UserName   string `json:"userName"`
	KnownAs    string `json:"knownAs"`
}

func (p *permission) String() string {
	name := cmp.Or(p.KnownAs, p.GroupName, p.UserName)
	if p.SecretRole == "" || p.SecretRole == p.FolderRole {
		return fmt.Sprintf("%s (%s)", name, p.FolderRole)
	}
	// The roles on a folder and on its secrets are independent.
	return fmt.Sprintf("%s (%s, secrets: %s)", name, p.FolderRole, p.SecretRole)
}

// Audience lists who has access to a folder, sorted: "Helpdesk (View)", or "Helpdesk
// (View, secrets: None)" if the role on its secrets differs from the role on the folder.
func (v *Vault) Audience(ctx context.Context, folderID string) ([]string, error) {
	id, err := v.parentNumber(folderID)
	if err != nil || id == top {
		return nil, err
	}
	all, err := v.permissions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read permissions of folder %d: %w", id, err)
	}
	audience := make([]string, len(all))
	for i, p := range all {
		audience[i] = p.String()
	}
	slices.Sort(audience)
	return slices.Compact(audience), nil
}

// permissions lists the permissions of a folder. If a folder that inherits shows none,
// they are those of the folder that it inherits from. The specification does not say
// whether it shows them.
func (v *Vault) permissions(ctx context.Context, id int) ([]permission, error) {
	for {
		all, err := list(ctx, v, permissionsPath, url.Values{"filter.folderId": {strconv.Itoa(id)}},
			func(p permission) int { return p.ID })
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(p permission) bool { return p.FolderID != 0 && p.FolderID != id })
		if len(all) > 0 {
			return all, nil
		}
		f, ok := v.record(id)
		if !ok {
			if f, err = v.fetch(ctx, id); err != nil {
				return nil, err
			}
		}
		if !f.inherits() || f.parent() <= 0 || f.parent() == id {
			return nil, nil
		}
		id = f.parent()
	}
}

// access returns the permissions of a folder in a form to compare.
func (v *Vault) access(ctx context.Context, id int) ([]string, error) {
	all, err := v.permissions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read permissions of folder %d: %w", id, err)
	}
	who := func(n *int) int {
		if n == nil {
			return 0
		}
		return *n
	}
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = fmt.Sprintf("group %d user %d %s/%s", who(p.GroupID), who(p.UserID), p.FolderRole, p.SecretRole)
	}
	slices.Sort(lines)
	return lines, nil
}

// movePreserving moves a folder that inherits its permissions so that it keeps them. One
// PUT turns off inheritance at the old place, and a second moves the folder. With a
// single PUT it would be open whether the server copies the permissions of the old or the
// new parent, and after a crash nobody would check. After a crash between the two PUTs,
// the next run moves a folder with permissions of its own.
//
// It compares the permissions before and after. If they differ, it restores place and
// inheritance, which gives the folder its old parent's permissions again, and the move
// fails.
func (v *Vault) movePreserving(ctx context.Context, f, want folder) (folder, error) {
	before, err := v.access(ctx, f.ID)
	if err != nil {
		return folder{}, err
	}
	if len(before) == 0 {
		return folder{}, fmt.Errorf("folder %d: its permissions cannot be read, so they cannot be kept: %w", f.ID, vault.ErrNotAllowed)
	}
	own, no := f, false
	own.InheritPermissions, want.InheritPermissions = &no, &no
	if _, err := v.put(ctx, own); err != nil {
		return folder{}, fmt.Errorf("turn off inheritance: %w", err)
	}
	got, err := v.put(ctx, want)
	if errors.Is(err, vault.ErrUnanswered) {
		return folder{}, err // its place is unknown, so it cannot go back
	}
	if err == nil {
		var after []string
		if after, err = v.access(ctx, f.ID); err == nil && slices.Equal(before, after) {
			return got, nil
		}
		if err == nil {
			err = fmt.Errorf("folder %d: the server did not keep its permissions on the move (they were %s, then %s): %w",
				f.ID, strings.Join(before, ", "), strings.Join(after, ", "), vault.ErrNotAllowed)
		}
	}
	if _, undoErr := v.put(ctx, f); undoErr != nil {
		return folder{}, errors.Join(err, fmt.Errorf("folder %d could not be restored; check who can see it: %w", f.ID, undoErr))
	}
	return folder{}, err
}
