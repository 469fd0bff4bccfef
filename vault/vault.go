// Package vault defines what a vault must do for cwvault: list folders, create,
// rename and move them, and carry a mark on each.
//
// An adapter implements [Vault] in a package of its own and passes the suite in
// vaulttest. Adapters never import each other.
//
// # Guarantees of an adapter
//
//   - It never deletes a folder, never reads or writes a secret, and changes only the
//     folder that a call names.
//   - It never overwrites: if a name is taken, the call fails with [ErrNameTaken] and
//     changes nothing.
//   - Every call ends within the adapter's deadline or when the context does.
//   - Its methods may be called from several goroutines at once.
package vault

import (
	"context"
	"errors"

	"cwvault/sync"
)

// The kinds of errors, for errors.Is. Adapters wrap them with the attempt and the vault's
// answer, never with a secret.
var (
	// ErrNotFound: there is no such folder, or the account cannot see it; most
	// vaults do not tell these apart.
	ErrNotFound = sync.ErrNotFound
	// ErrNameTaken: the parent already has a folder (or file) of that name.
	ErrNameTaken = errors.New("name taken")
	// ErrNotAllowed: the account is known but lacks the right.
	ErrNotAllowed = sync.ErrNotAllowed
	// ErrReadOnly: the vault, or that part of it, accepts no changes now.
	ErrReadOnly = sync.ErrReadOnly
	// ErrUnavailable: the vault is unreachable or overloaded; the same call may
	// succeed later. Nothing has changed.
	ErrUnavailable = sync.ErrUnavailable
	// ErrInvalid: the vault rejects the request, for example because of a name that
	// it cannot store, or a folder moved below itself.
	ErrInvalid = sync.ErrInvalid
	// ErrUnauthorized: sign-in failed. No call can succeed with this account.
	ErrUnauthorized = sync.ErrUnauthorized
	// ErrUnanswered: the answer was lost, so the request may have been carried out.
	// Look before a retry.
	ErrUnanswered = sync.ErrUnanswered
)

// Vault is a store of folders. Paths never identify a folder; ids do.
type Vault interface {
	// Names states the vault's rules for folder names.
	Names() sync.NameRules

	// Tree reads the root and every folder below it, with their marks, as consistently
	// as the vault allows. It changes nothing. If the root does not exist, Tree
	// succeeds with an empty Root.ID and no folders. A listing that may be incomplete
	// is an error, never a shorter tree.
	Tree(ctx context.Context) (sync.Tree, error)

	// CreateRoot makes the configured root and the missing folders above it, and
	// returns the root. It returns an existing root as it is.
	CreateRoot(ctx context.Context) (sync.Folder, error)

	// Create makes an empty folder below parentID that inherits its parent's
	// permissions, and marks it. If it made the folder but could not mark it, it
	// returns the folder without mark, and an error. An error wrapping
	// ErrUnanswered means that the folder may exist.
	Create(ctx context.Context, parentID, name string, m sync.Mark) (sync.Folder, error)

	// Update gives the folder, with its contents, this parent and this name in one
	// operation; either may stay the same. Its id and those of the folders inside
	// it stay valid at least until the next Tree, also in a vault without ids of its
	// own.
	Update(ctx context.Context, id, parentID, name string) (sync.Folder, error)

	// Mark writes the mark on an existing folder, replacing an earlier one,
	// and changes nothing else.
	Mark(ctx context.Context, id string, m sync.Mark) error

	// Find returns the folder directly below parentID whose folded name equals
	// that of name, with its mark, or an error wrapping ErrNotFound.
	Find(ctx context.Context, parentID, name string) (sync.Folder, error)
}
