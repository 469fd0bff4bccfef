package passwordstore

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"cwvault/sync"
	"cwvault/vault"
)

// Names implements [vault.Vault]. The limit is that of all common file systems. Some
// special ones have a lower limit (eCryptfs 143 bytes, FAT without long names 11), where a
// longer name fails with [vault.ErrInvalid].
func (s *Store) Names() sync.NameRules { return nameRules(runtime.GOOS) }

func nameRules(goos string) sync.NameRules {
	rules := sync.NameRules{
		MaxLength: 255,
		Length:    func(name string) int { return len(name) },
		Forbidden: "/",
		Leading:   ".", // invisible to people
		Special:   isSecret,
		Fold:      vault.Fold,
		Form:      vault.Form,
	}
	if goos == "windows" {
		rules.Forbidden = `/<>:"|?*`
		rules.Trailing = ". "
		rules.Special = func(name string) bool { return isSecret(name) || isDevice(name) }
	}
	return rules
}

// isSecret reports whether a name is that of a secret. A directory with such a name is
// still a folder, but pass cannot handle it.
func isSecret(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".gpg" || ext == ".age"
}

// isDevice reports whether Windows treats the name as a device. Before Windows 11 it does
// so even with an extension ("CON.txt"). There a longer name would not help, and making
// the folder fails.
func isDevice(name string) bool {
	name = strings.ToUpper(name)
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(name, "COM")
	if !ok {
		port, ok = strings.CutPrefix(name, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("123456789¹²³", port)
}

// checkName refuses names that the rules forbid. The core does not use such names, but
// they would be dangerous.
func checkName(name string) error {
	rules := nameRules(runtime.GOOS)
	problem := ""
	switch {
	case name == "":
		problem = "is empty"
	case !utf8.ValidString(name):
		problem = "is not UTF-8"
	case rules.Length(name) > rules.MaxLength:
		problem = fmt.Sprintf("is longer than %d bytes", rules.MaxLength)
	case strings.ContainsFunc(name, unicode.IsControl):
		problem = "has a control character"
	case strings.ContainsAny(name, rules.Forbidden+`\`):
		problem = "has a character that is not allowed"
	case strings.TrimLeft(name, rules.Leading) != name:
		problem = "begins with a dot"
	case strings.TrimRight(name, rules.Trailing) != name:
		problem = "ends with a dot or space"
	case rules.Special(name):
		problem = "is reserved"
	default:
		return nil
	}
	return fmt.Errorf("%w: the name %q %s", vault.ErrInvalid, name, problem)
}
