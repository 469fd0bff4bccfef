package passwordstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"cwvault/vault"
)

// recipientFiles list, for GnuPG and for age, the recipients of secrets in a directory
// and below it, except where a directory below has such a file of its own. The two are
// independent: a store uses one of them.
var recipientFiles = [...]string{".gpg-id", ".age-recipients"}

const maxRecipients = 1 << 20 // bytes of one such file

// Audience returns the recipients in force inside a folder: the keys to which pass or
// gopass encrypts new secrets there. They come from the nearest file of recipients, in
// the folder itself or above it, up to the store's own directory, without comments,
// sorted, each once. An empty audience means that there is no such file.
//
// Older secrets may have other readers, if other recipients were in force then.
func (s *Store) Audience(ctx context.Context, folderID string) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	audience, err := s.audience(ctx, folderID)
	if err != nil {
		return nil, fmt.Errorf("audience of folder %q: %w", folderID, explain(err))
	}
	return audience, nil
}

func (s *Store) audience(ctx context.Context, folderID string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := s.find(folderID)
	if err != nil {
		return nil, err
	}
	all := []string{}
	for _, file := range recipientFiles {
		at, err := s.source(n, file)
		if err != nil {
			return nil, err
		}
		some, err := s.recipients(at, file)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// source returns the nearest directory, from n upwards, that has this file of
// recipients, or nil.
func (s *Store) source(n *node, file string) (*node, error) {
	for ; n != nil; n = n.parent {
		dir, err := s.open(n)
		if err != nil {
			return nil, err
		}
		info, err := dir.Lstat(file)
		dir.Close()
		if err == nil && !info.IsDir() {
			return n, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// recipients reads one file of recipients.
func (s *Store) recipients(at *node, file string) ([]string, error) {
	if at == nil {
		return nil, nil
	}
	dir, err := s.open(at)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	data, err := readFile(dir, file, maxRecipients)
	if errors.Is(err, errNotPlain) { // pass would follow a link; to us the recipients are unknown
		err = fmt.Errorf("%w: cannot tell who can read %q: %w", vault.ErrNotAllowed, at.path(), err)
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// keepAudience prepares a folder to move below another parent without a change of its
// recipients: it copies those in force into the folder, or refuses. It returns the names
// of the files that it made.
func (s *Store) keepAudience(n, parent *node) (made []string, err error) {
	if parent == n.parent {
		return nil, nil
	}
	dir, err := s.open(n)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for _, file := range recipientFiles {
		before, err := s.source(n, file)
		if err != nil {
			return made, err
		}
		if before == n {
			// Its own recipients move with it, but a link may then lead elsewhere.
			if info, err := dir.Lstat(file); err != nil || !info.Mode().IsRegular() {
				return made, fmt.Errorf("%w: %s is not a plain file, so who could read the folder after the move is unknown", vault.ErrNotAllowed, file)
			}
			continue
		}
		after, err := s.source(parent, file)
		if err != nil {
			return made, err
		}
		if before == after {
			continue
		}
		old, err := s.recipients(before, file)
		if err != nil {
			return made, err
		}
		now, err := s.recipients(after, file)
		if err != nil {
			return made, err
		}
		switch {
		case slices.Equal(old, now):
		case !s.preserve:
			return made, fmt.Errorf("%w: recipients (%s) in %q differ from those in %q, and only a holder of the keys can encrypt the secrets for them",
				vault.ErrNotAllowed, file, parent.path(), n.parent.path())
		case before == nil:
			return made, fmt.Errorf("%w: there are no recipients (%s) to preserve, and others are in force in %q", vault.ErrNotAllowed, file, parent.path())
		default:
			files, err := s.copyRecipients(before, dir, file)
			made = append(made, files...)
			if err != nil {
				return made, err
			}
		}
	}
	return made, nil
}

// copyRecipients copies a file of recipients into a directory, and first its signature if
// it has one: pass refuses a file without its signature.
func (s *Store) copyRecipients(from *node, to *os.Root, file string) (made []string, err error) {
	dir, err := s.open(from)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for _, name := range []string{file + ".sig", file} {
		data, err := readFile(dir, name, maxRecipients)
		if errors.Is(err, fs.ErrNotExist) && name != file {
			continue
		}
		if err == nil {
			err = writeFile(to, name, data, false)
		}
		if err != nil {
			return made, fmt.Errorf("copy %s: %w", name, err)
		}
		made = append(made, name)
	}
	return made, nil
}

// unmake removes the files that keepAudience made.
func (s *Store) unmake(n *node, made []string) error {
	if len(made) == 0 {
		return nil
	}
	dir, err := s.open(n)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, name := range slices.Backward(made) {
		err = errors.Join(err, dir.Remove(name))
	}
	return err
}
