package synctest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cwvault/sync"
)

// World is a ConnectWise and a vault.
type World struct {
	Tables
	Companies []sync.Company
	// CompanyLines is where the text has each company, by its number.
	CompanyLines map[int]int
	// Vault holds the folders at the top of the vault; nil if the text draws
	// no vault.
	Vault *Folder
	// Settings are lines such as CWVAULT_ROOT=\Clients, in their order.
	Settings []string
}

// Source returns the world's companies, types and statuses as if read from
// ConnectWise.
func (w World) Source() sync.Source {
	return sync.Source{Companies: w.Companies, Count: len(w.Companies), Types: w.Types, Statuses: w.Statuses}
}

// section is a part of a file, from a line -- title -- to the next.
type section struct {
	title string
	line  int // of the title
	text  string
}

// sections splits a text into its sections, without the text before the first.
func sections(text string) []section {
	var list []section
	number, begin, end := 0, 0, 0 // of the section's text
	for raw := range strings.SplitAfterSeq(text, "\n") {
		number++
		line := strings.TrimRight(raw, " \t\r\n")
		title, begins := strings.CutPrefix(line, "-- ")
		title, ends := strings.CutSuffix(title, " --")
		end += len(raw)
		if begins && ends {
			list = append(list, section{title: strings.TrimSpace(title), line: number})
			begin = end
		}
		if len(list) > 0 {
			list[len(list)-1].text = text[begin:end]
		}
	}
	return list
}

var (
	worldSections = []string{"types", "statuses", "territories", "markets", "companies", "vault", "settings"}
	// The other sections of a scenario: those that describe it, and those that say
	// what happens to its world.
	aboutSections = []string{"played", "proved"}
	storySections = []string{"by", "trouble", "command", "expected"}
)

// Parse reads a world. Its sections are optional and in any order:
//
//	-- types --, -- statuses --, -- territories --, -- markets --   see Table
//	-- companies --                                                 see Companies
//	-- vault --                                                     see Folders
//	-- settings --                                                  lines CWVAULT_NAME=VALUE
//
// Without types and statuses the world has those of [DefaultTables]. More words may
// follow in a title. A scenario is a world too, the one with which it begins:
// reading ends after a section "vault before", and before a section about commands
// or their expected results. Sections for the password store alone do not count.
//
// Errors are of type *[Error], with lines of the whole text.
func Parse(text string) (World, error) {
	found := map[string]section{}
	all := sections(text)
	if len(all) == 0 {
		return World{}, &Error{1, errors.New("there is no section, such as -- companies --")}
	}
	for _, s := range all {
		kind, _, _ := strings.Cut(s.title, " ")
		_, twice := found[kind]
		switch {
		case slices.Contains(storySections, kind):
			return read(found)
		case slices.Contains(aboutSections, kind) || strings.HasSuffix(s.title, " (password store)"):
			continue
		case !slices.Contains(worldSections, kind):
			return World{}, &Error{s.line, fmt.Errorf("there is no section %q; a world has %s", s.title, strings.Join(worldSections, ", "))}
		case twice:
			return World{}, &Error{s.line, fmt.Errorf("there is a second section about %s, %q", kind, s.title)}
		}
		found[kind] = s
		if s.title == "vault before" {
			break
		}
	}
	return read(found)
}

// read reads the sections, by their kind.
func read(found map[string]section) (World, error) {
	w := World{Tables: DefaultTables()}
	for _, kind := range worldSections { // the tables first: companies refer to them
		s, ok := found[kind]
		if !ok {
			continue
		}
		var err error
		switch kind {
		case "types":
			w.Types, err = Table(s.text)
		case "statuses":
			w.Statuses, err = Table(s.text)
		case "territories":
			w.Territories, err = Table(s.text)
		case "markets":
			w.Markets, err = Table(s.text)
		case "companies":
			w.Companies, w.CompanyLines, err = companies(s.text, w.Tables)
			for id := range w.CompanyLines {
				w.CompanyLines[id] += s.line
			}
		case "vault":
			w.Vault, err = foldersFrom(s)
		case "settings":
			w.Settings, err = settings(s.text)
		}
		if err != nil {
			var at *Error
			if errors.As(err, &at) {
				err = &Error{s.line + at.Line, at.Err}
			}
			return World{}, err
		}
	}
	return w, nil
}

// foldersFrom reads the folders of a section, with lines of the whole text.
func foldersFrom(s section) (*Folder, error) {
	top, err := Folders(s.text)
	if err != nil {
		return nil, err
	}
	err = top.Walk(func(_, f *Folder) error {
		f.Line += s.line
		return nil
	})
	return top, err
}

func settings(text string) (list []string, err error) {
	for _, l := range plainLines(text) {
		if name, _, ok := strings.Cut(l.Text, "="); !ok || !strings.HasPrefix(name, "CWVAULT_") {
			return nil, l.errorf("%q is not a setting such as CWVAULT_ROOT=\\Clients", l.Text)
		}
		list = append(list, l.Text)
	}
	return list, nil
}

// Setting returns the value of a setting, the last one if it occurs twice.
func (w World) Setting(name string) (value string, ok bool) {
	for _, line := range w.Settings {
		if v, is := strings.CutPrefix(line, name+"="); is {
			value, ok = v, true
		}
	}
	return value, ok
}

// String writes the world as [Parse] reads it, settings included.
func (w World) String() string {
	var b strings.Builder
	b.WriteString("-- types --\n" + WriteTable(w.Types))
	b.WriteString("-- statuses --\n" + WriteTable(w.Statuses))
	if len(w.Territories) > 0 {
		b.WriteString("-- territories --\n" + WriteTable(w.Territories))
	}
	if len(w.Markets) > 0 {
		b.WriteString("-- markets --\n" + WriteTable(w.Markets))
	}
	b.WriteString("-- companies --\n" + WriteCompanies(w.Companies, w.Tables))
	if w.Vault != nil {
		b.WriteString("-- vault --\n" + w.Vault.String())
	}
	if len(w.Settings) > 0 {
		b.WriteString("-- settings --\n" + strings.Join(w.Settings, "\n") + "\n")
	}
	return b.String()
}
