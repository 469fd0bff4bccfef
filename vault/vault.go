// Package vault says what any vault must do for cwvault: list folders, create
// them, rename and move them, and carry a mark on each.
//
// An adapter implements [Vault] in a package of its own and proves it with the
// suite in vaulttest. Adapters never import each other.
//
// # Guarantees asked of an adapter
//
//   - It never deletes a folder, never reads or writes a secret, and changes
//     nothing but the folder that a call names.
//   - It never overwrites: where a name is taken the call fails with
//     [ErrNameTaken] and nothing has changed.
//   - Every call ends within the adapter's deadline or when the context does.
//   - Its methods may be called from several goroutines at once.
package vault

import (
	"context"
	"errors"

	"cwvault/sync"
)

// What can be wrong, for errors.Is. Adapters wrap them with what was attempted
// and what the vault answered, never with a secret.
var (
	// ErrNotFound: there is no such folder, or the account cannot see it; most
	// vaults do not tell these apart.
	ErrNotFound = sync.ErrNotFound
	// ErrNameTaken: the parent already has a folder (or file) of that name.
	ErrNameTaken = errors.New("name taken")
	// ErrNotAllowed: the account is known but lacks the right.
	ErrNotAllowed = sync.ErrNotAllowed
	// ErrReadOnly: the vault or that part of it takes no changes now.
	ErrReadOnly = sync.ErrReadOnly
	// ErrUnavailable: the vault cannot be reached or is overloaded; the same
	// call may succeed later. Nothing has changed.
	ErrUnavailable = sync.ErrUnavailable
	// ErrInvalid: the vault refuses the request as it is, for example a name
	// it cannot hold, or a folder moved under itself.
	ErrInvalid = sync.ErrInvalid
	// ErrUnauthorized: sign-in failed. No call can succeed with this account.
	ErrUnauthorized = sync.ErrUnauthorized
	// ErrUnanswered: the request may have been carried out, but its answer was
	// lost. Look before trying again.
	ErrUnanswered = sync.ErrUnanswered
)

// Vault is a store of folders. Paths never identify a folder; ids do.
type Vault interface {
	// Names states the vault's rules for folder names.
	Names() sync.NameRules

	// Tree reads the root and every folder below it, with their marks, in one
	// consistent pass as far as the vault allows. It changes nothing. When the
	// root does not exist, Tree succeeds with an empty Root.ID and no folders.
	// A listing that may be incomplete is an error, never a shorter tree.
	Tree(ctx context.Context) (sync.Tree, error)

	// CreateRoot makes the configured root, with the folders above it that are
	// missing, and returns it. An existing root is returned as it is.
	CreateRoot(ctx context.Context) (sync.Folder, error)

	// Create makes an empty folder below parentID that inherits its parent's
	// permissions, and marks it. When the folder was made but could not be
	// marked, it returns the folder without mark, with an error. An error
	// wrapping ErrUnanswered means that the folder may exist.
	Create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error)

	// Update gives the folder this parent and this name, in one operation,
	// with everything inside it; either may be what it is already. All ids,
	// its own and those of the folders inside it, stay valid at least until
	// the next Tree, also in a vault that has no ids of its own.
	Update(ctx context.Context, id, parentID, name string) (sync.Folder, error)

	// Mark writes the mark on an existing folder, replacing an earlier one,
	// and changes nothing else.
	Mark(ctx context.Context, id string, m sync.Mark) error

	// Find returns the folder directly below parentID whose folded name equals
	// that of name, with its mark, or an error wrapping ErrNotFound.
	Find(ctx context.Context, parentID, name string) (sync.Folder, error)
}
