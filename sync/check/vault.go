package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cwvault/sync"
	"cwvault/sync/report"
	"cwvault/sync/run"
)

// vault lets the vault check itself, if it can, and reads its folders.
func (k *inspection) vault(ctx context.Context) (tree sync.Tree, read bool) {
	if k.Vault == nil {
		return sync.Tree{}, false
	}
	if v, ok := k.Vault.(Vault); ok {
		short, cancel := context.WithTimeout(ctx, vaultTimeout)
		findings := v.Check(short)
		cancel()
		k.of("vault", findings)
		if slices.ContainsFunc(findings, func(f sync.Finding) bool {
			return errors.Is(f.Err, sync.ErrUnauthorized) || errors.Is(f.Err, sync.ErrUnavailable)
		}) {
			return sync.Tree{}, false
		}
	}
	ctx, cancel := context.WithTimeout(ctx, treeTimeout)
	defer cancel()
	tree, err := k.Vault.Tree(ctx)
	switch {
	case err != nil:
		k.fail("vault folders", err.Error(), fixVault(err), err)
		return sync.Tree{}, false
	case tree.Root.ID == "" && k.CreateRoot:
		k.ok("vault root", "%s, which the first resync makes", tree.RootPath)
	case tree.Root.ID == "":
		err := run.WithCause(run.CauseSettings, &run.NoRootError{Root: tree.RootPath})
		k.fail("vault root", tree.RootPath+" does not exist, or the account cannot see it", FixFor(err), err)
	default:
		k.ok("vault root", "%s, with %s below it", tree.RootPath, report.Count(len(tree.Folders), "folder"))
		k.marks(tree)
	}
	if k.StoreDir != "" {
		k.storeRights(tree)
	}
	return tree, true
}

func fixVault(err error) string {
	switch {
	case errors.Is(err, sync.ErrUnauthorized):
		return "check CWVAULT_VAULT_USERNAME and CWVAULT_VAULT_PASSWORD"
	case errors.Is(err, sync.ErrNotAllowed):
		return "give the account the right to see all folders below CWVAULT_ROOT"
	}
	return "check CWVAULT_VAULT_URL and CWVAULT_ROOT"
}

// marked are the folders by owner.
type marked struct {
	companies, groups, unmanaged int
	unreadable, foreign          []string
	ours                         map[sync.Key][]string // paths
}

func (k *inspection) sortMarks(tree sync.Tree) marked {
	m := marked{ours: map[sync.Key][]string{}}
	paths, inside := report.Paths(tree), insideCompanies(tree)
	for _, f := range tree.Folders {
		_, company := f.Mark.Key.CompanyID()
		switch {
		case f.BadMark, f.Mark != (sync.Mark{}) && !f.Mark.Key.Valid():
			m.unreadable = append(m.unreadable, paths[f.ID])
			continue
		case f.Mark == (sync.Mark{}):
			if !inside[f.ID] {
				m.unmanaged++
			}
			continue
		case f.Mark.Tenant != k.Tenant:
			m.foreign = append(m.foreign, fmt.Sprintf("%s (%s)", paths[f.ID], f.Mark))
			continue
		case company:
			m.companies++
		default:
			m.groups++
		}
		m.ours[f.Mark.Key] = append(m.ours[f.Mark.Key], paths[f.ID])
	}
	return m
}

// marks counts the folders by owner and warns of marks that are wrong.
func (k *inspection) marks(tree sync.Tree) {
	const subject = "vault marks"
	m := k.sortMarks(tree)
	k.ok(subject, "%s and %s of %s; beside them %d that cwvault leaves alone", report.Count(m.companies, "company folder"),
		report.Count(m.groups, "group folder"), k.Tenant, m.unmanaged+len(m.foreign)+len(m.unreadable))
	if len(m.foreign) > 0 {
		k.warn(subject, fmt.Sprintf("%s by another tenant: %s", carry(len(m.foreign), "a mark"), someOf(m.foreign)), "give each installation a root of its own")
	}
	if len(m.unreadable) > 0 {
		k.warn(subject, fmt.Sprintf("%s that cannot be read: %s", carry(len(m.unreadable), "a mark"), someOf(m.unreadable)),
			"restore the mark from a backup, or remove it and let CWVAULT_ADOPT=path write it anew")
	}
	var twice []string
	for key, where := range m.ours {
		if len(where) > 1 {
			slices.Sort(where)
			twice = append(twice, fmt.Sprintf("%s on %s", key, strings.Join(where, " and ")))
		}
	}
	if len(twice) > 0 {
		k.warn(subject, "the same mark on several folders, which are held: "+someOf(twice), "remove the mark from the copy")
	}
}

// carry writes "1 folder carries a mark", "2 folders carry a mark".
func carry(n int, what string) string {
	verb := "carry"
	if n == 1 {
		verb = "carries"
	}
	return fmt.Sprintf("%s %s %s", report.Count(n, "folder"), verb, what)
}

// insideCompanies returns the folders at any depth below a marked company folder.
// They belong to people.
func insideCompanies(tree sync.Tree) map[string]bool {
	byID := make(map[string]sync.Folder, len(tree.Folders))
	for _, f := range tree.Folders {
		byID[f.ID] = f
	}
	inside := map[string]bool{}
	for _, f := range tree.Folders {
		up, ok := byID[f.ParentID]
		for level := 0; ok && level < 1000; level++ { // a tree that goes in circles is refused elsewhere
			if _, company := up.Mark.Key.CompanyID(); company {
				inside[f.ID] = true
				break
			}
			up, ok = byID[up.ParentID]
		}
	}
	return inside
}

// storeRights checks whether this process may write in the root and in the managed
// folders of a vault on disk. Moving a directory needs write access to it.
func (k *inspection) storeRights(tree sync.Tree) {
	const subject = "vault rights"
	at := func(path string) string {
		return filepath.Join(k.StoreDir, filepath.FromSlash(strings.ReplaceAll(path, `\`, "/")))
	}
	root := at(tree.RootPath)
	for tree.Root.ID == "" && root != k.StoreDir { // the nearest folder that exists
		if _, err := os.Lstat(root); err == nil {
			break
		}
		root = filepath.Dir(root)
	}
	dirs := []string{root}
	paths := report.Paths(tree)
	for _, f := range tree.Folders {
		if f.Mark.Tenant == k.Tenant {
			dirs = append(dirs, at(paths[f.ID]))
		}
	}
	var closed []string
	var reason error
	for _, d := range dirs {
		if err := k.Writable(d); err != nil {
			closed, reason = append(closed, d), err
		}
	}
	if reason == nil && tree.Root.ID == "" {
		k.ok(subject, "can write in %s, where the root will be made", root)
		return
	}
	if reason == nil {
		k.ok(subject, "can write in the root and in %s", report.Count(len(dirs)-1, "managed folder"))
		return
	}
	kind := sync.ErrReadOnly
	if errors.Is(reason, fs.ErrPermission) {
		kind = sync.ErrNotAllowed
	}
	k.fail(subject, fmt.Sprintf("cannot write in %s: %v", someOf(closed), reason),
		"give the account that runs cwvault write access to the whole of CWVAULT_ROOT", fmt.Errorf("%w: %w", kind, reason))
}
