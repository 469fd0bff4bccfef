package passwordstore

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"cwvault/sync"
	"cwvault/vault"
)

const (
	markFile    = ".cwvault"
	maxMark     = 64 << 10 // bytes; marks have some 60
	markVersion = 1
	// tempPrefix begins the names of unfinished files and directories.
	tempPrefix = ".cwvault-"
)

// errBadMark: the mark's file does not hold a valid mark.
var errBadMark = errors.New("not a mark of this version of cwvault")

// markJSON is the content of the file: one line, readable for people.
type markJSON struct {
	Version int      `json:"cwvault"`
	Tenant  string   `json:"tenant"`
	Key     sync.Key `json:"key"`
}

func encodeMark(m sync.Mark) ([]byte, error) {
	var data bytes.Buffer
	enc := json.NewEncoder(&data) // ends the line
	enc.SetEscapeHTML(false)
	if err := enc.Encode(markJSON{markVersion, m.Tenant, m.Key}); err != nil {
		return nil, err
	}
	if again, err := decodeMark(data.Bytes()); err != nil || again != m {
		return nil, fmt.Errorf("%w: no mark: %q", vault.ErrInvalid, m)
	}
	return data.Bytes(), nil
}

// decodeMark is the inverse of encodeMark. It refuses, with errBadMark, everything
// ambiguous: unknown, repeated or missing fields (encoding/json ignores their case), text
// after the object, another version.
func decodeMark(data []byte) (sync.Mark, error) {
	if len(data) > maxMark || !utf8.Valid(data) {
		return sync.Mark{}, errBadMark
	}
	m, ok := asWritten(string(data))
	if !ok {
		m, ok = parseMark(data)
	}
	if ok {
		if again, err := sync.ParseMark(m.String()); err == nil && again == m {
			return m, nil
		}
	}
	return sync.Mark{}, errBadMark
}

// asWritten reads a mark that is exactly as encodeMark writes it, if it contains no
// escapes. It is faster than JSON, and a tree has thousands of marks.
func asWritten(data string) (m sync.Mark, ok bool) {
	rest, ok1 := strings.CutPrefix(data, `{"cwvault":1,"tenant":"`)
	tenant, rest, ok2 := strings.Cut(rest, `","key":"`)
	key, ok3 := strings.CutSuffix(rest, "\"}\n")
	special := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }
	ok = ok1 && ok2 && ok3 && !strings.ContainsFunc(tenant, special) && !strings.ContainsFunc(key, special)
	return sync.Mark{Tenant: tenant, Key: sync.Key(key)}, ok
}

// parseMark reads a mark in any other JSON.
func parseMark(data []byte) (m sync.Mark, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return m, false
	}
	fields := map[string]any{}
	for dec.More() {
		name, err := dec.Token()
		field, ok := name.(string) // not so inside an array
		if _, twice := fields[field]; err != nil || !ok || twice {
			return m, false
		}
		if fields[field], err = dec.Token(); err != nil {
			return m, false
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return m, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return m, false
	}
	tenant, ok1 := fields["tenant"].(string)
	key, ok2 := fields["key"].(string)
	return sync.Mark{Tenant: tenant, Key: sync.Key(key)},
		ok1 && ok2 && len(fields) == 3 && fields["cwvault"] == float64(markVersion)
}

// readMark returns the mark in a directory, or the zero Mark if there is none. An error that
// wraps errBadMark says that the file holds no valid mark; with any other, the mark is unknown.
func readMark(dir *os.Root) (sync.Mark, error) {
	data, err := readFile(dir, markFile, maxMark)
	if errors.Is(err, fs.ErrNotExist) {
		return sync.Mark{}, nil
	}
	if errors.Is(err, errNotPlain) {
		return sync.Mark{}, fmt.Errorf("%w: %w", errBadMark, err)
	}
	if err != nil {
		return sync.Mark{}, err
	}
	return decodeMark(data)
}

// errNotPlain: a link, directory, device, pipe, or a file too large.
var errNotPlain = errors.New("not a plain file of a plausible size")

// readFile reads a small file. It refuses everything else.
func readFile(dir *os.Root, name string, limit int64) ([]byte, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: %w", name, errNotPlain)
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil {
		return nil, err
	} else if !os.SameFile(info, now) { // a link took its place
		return nil, fmt.Errorf("%s: %w", name, errNotPlain)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w", name, errNotPlain)
	}
	return data, err
}

// writeFile writes a file atomically, so that it is complete even after a power failure.
// It replaces an existing file only if replace is set.
func writeFile(dir *os.Root, name string, data []byte, replace bool) error {
	temp := tempPrefix + rand.Text()
	err := createFile(dir, temp, data)
	if err == nil && replace {
		err = dir.Rename(temp, name)
	} else if err == nil {
		err = renameNoReplace(dir, temp, dir, name)
	}
	if err != nil {
		dir.Remove(temp)
		return err
	}
	return syncDir(dir)
}

// createFile makes a new file and waits until it is on disk.
func createFile(dir *os.Root, name string, data []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
