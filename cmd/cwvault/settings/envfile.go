package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"cwvault/sync/run"
)

// envFileMost is how large an --env-file may be, in bytes.
const envFileMost = 1 << 20

// Environment says where settings come from.
type Environment struct {
	Process []string // the environment that the process was started with
	File    string   // --env-file; empty: none
}

// Read returns the environment of the process and the settings in the file, which it
// reads each time. The warning, if not empty, says who can read secrets in the file.
// An error names the file and the line, never a value.
func (e Environment) Read() (environ []string, warning string, err error) {
	if e.File == "" {
		return e.Process, "", nil
	}
	settings, warning, err := readEnvFile(e.File)
	if err != nil {
		return nil, "", run.Settingsf("--env-file: %w", err)
	}
	return withSettings(e.Process, settings), warning, nil
}

// withSettings adds the settings of a file to an environment. Variables in the
// environment win; an empty variable counts as not set.
func withSettings(environ, settings []string) []string {
	set := map[string]bool{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value != "" // the last one counts, as for [Load]
	}
	merged := slices.Clone(environ)
	for _, entry := range settings {
		if name, _, _ := strings.Cut(entry, "="); !set[name] {
			merged = append(merged, entry)
		}
	}
	return merged
}

// readEnvFile reads a file of settings. The warning, if not empty, says that others
// besides its owner and group can read secrets in it.
func readEnvFile(path string) (settings []string, warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	if info.IsDir() {
		return nil, "", fmt.Errorf("%s is a directory", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, envFileMost+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > envFileMost {
		return nil, "", fmt.Errorf("%s is larger than %d bytes", path, envFileMost)
	}
	settings, err = parseEnvFile(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	// On Windows the mode of a file means nothing.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		if name := firstSecret(settings); name != "" {
			warning = fmt.Sprintf("everybody on this machine can read the settings file, and %s is in it; use chmod o-r, or %[1]s_FILE", name)
			if !slices.Contains(fromFile, name) {
				warning = fmt.Sprintf("everybody on this machine can read the settings file, and the password of %s is in it; use chmod o-r", name)
			}
		}
	}
	return settings, warning, nil
}

// firstSecret returns the name of a setting that contains a secret, or "".
func firstSecret(settings []string) string {
	for _, entry := range settings {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" {
			continue
		}
		if slices.Contains(fromFile, name) && name != "CWVAULT_CONNECTWISE_CLIENT_ID" {
			return name
		}
		if u, err := url.Parse(value); err == nil {
			if _, has := u.User.Password(); has {
				return name
			}
		}
	}
	return ""
}

// parseEnvFile reads NAME=VALUE lines. It skips blank lines, lines that begin with #,
// and white space around name and value. It removes one pair of quotes, double or
// single, around a value. Nothing else has a meaning: no $ is expanded and no
// backslash escapes anything, so that CWVAULT_FOLDER_STRUCTURE=$TYPE\$STATUS stays as
// it is. Line ends may be those of Windows, and the text may begin with a byte order
// mark. The error lists every problem by line.
func parseEnvFile(text []byte) (settings []string, err error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var problems []error
	lines := map[string]int{}
	number := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		entry, err := parseEnvLine(line)
		name, _, _ := strings.Cut(entry, "=")
		if first := lines[name]; err == nil && first > 0 {
			err = fmt.Errorf("%s is set already in line %d", name, first)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		lines[name] = number
		settings = append(settings, entry)
	}
	return settings, errors.Join(problems...)
}

// parseEnvLine reads one line. Its errors quote only valid names: in a malformed line
// any part may belong to a secret.
func parseEnvLine(line string) (entry string, err error) {
	name, value, found := strings.Cut(line, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !found || !isSettingName(name):
		return "", errors.New("not of the form CWVAULT_NAME=VALUE; this file can only hold cwvault's own settings")
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "", fmt.Errorf("the value of %s is not UTF-8 text", name)
	}
	if quote := strings.IndexAny(value, `"'`); quote == 0 {
		if len(value) < 2 || value[len(value)-1] != value[0] {
			return "", fmt.Errorf("the value of %s begins with a quote that does not end it", name)
		}
		value = value[1 : len(value)-1]
	}
	return name + "=" + value, nil
}

func isSettingName(s string) bool {
	return strings.HasPrefix(s, "CWVAULT_") && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
