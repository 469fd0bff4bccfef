package synctest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cwvault/sync"
)

// Folder is a folder of a drawn vault, with its contents.
type Folder struct {
	Name string
	// Mark is its mark. The tenant is empty if it is the world's own.
	Mark sync.Mark
	// BadMark: it has a mark that cannot be read.
	BadMark bool
	// Own: it has permissions of its own, in place of its parent's. Readers can
	// read it then, if the drawing lists them.
	Own     bool
	Readers []string
	Secrets []string
	Folders []*Folder
	// Line is its line in the text, from 1; 0 if no text was read.
	Line int
}

// badMark stands for a mark that this version of cwvault cannot read, own for
// permissions without a list of readers.
const (
	badMark = "unreadable mark"
	own     = "own permissions"
	readers = "readers:"
)

// Folders reads a drawing of folders, one per line. The contents of a folder are
// indented by two more blanks. It returns a folder without a name that holds them
// all.
//
//	Clients
//	  Customer [group/type:1]
//	    Alovet [company/250; readers: Helpdesk, Ana]
//	      * alovet-admin
//	    "Bolt [EU]" [other company/3; own permissions]
//	    Cork [unreadable mark]
//	    Notes
//
// The brackets hold the folder's mark, with its tenant first if it is another one,
// and who can read it, if the folder has permissions of its own. A line with a star
// is a secret. A name that begins with a star or contains quotes or brackets is
// written as a Go string. A mark may be, too.
func Folders(text string) (*Folder, error) {
	lines, err := Lines(text)
	if err != nil {
		return nil, err
	}
	top := &Folder{}
	way := []*Folder{top}
	for _, l := range lines {
		content := strings.TrimLeft(l.Text, " ")
		indent := len(l.Text) - len(content)
		if indent%2 != 0 || indent/2 >= len(way) {
			return nil, l.errorf("%q is %d blanks further in; it must be two more than the folder that holds it", content, indent)
		}
		way = way[:indent/2+1]
		above := way[indent/2]
		if name, ok := strings.CutPrefix(content, "* "); ok {
			if name, err = unquote(name); err != nil {
				return nil, l.errorf("%w", err)
			}
			above.Secrets = append(above.Secrets, name)
			continue
		}
		f, err := ParseFolder(content)
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		f.Line = l.Number
		above.Folders = append(above.Folders, f)
		way = append(way, f)
	}
	return top, nil
}

// ParseFolder reads the line of one folder, without its contents.
func ParseFolder(s string) (*Folder, error) {
	f := &Folder{Name: s}
	rest := ""
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err == nil {
			f.Name, err = strconv.Unquote(quoted)
		}
		if err != nil {
			return nil, fmt.Errorf("%s does not begin with a Go string", s)
		}
		if rest = strings.TrimSpace(s[len(quoted):]); rest == "" {
			return f, nil
		}
	} else if i := strings.LastIndex(s, " ["); i >= 0 && strings.HasSuffix(s, "]") {
		f.Name, rest = strings.TrimRight(s[:i], " "), s[i+1:]
	} else {
		return f, nil
	}
	inside, open := strings.CutPrefix(rest, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	if !open || !closed {
		return nil, fmt.Errorf("%q is not a folder", s)
	}
	for inside != "" {
		part, after, err := cutNote(inside)
		if err == nil {
			err = f.setNote(part)
		}
		if err != nil {
			return nil, err
		}
		inside = after
	}
	return f, nil
}

// cutNote cuts off the first note in brackets, at a semicolon that is not in a Go
// string.
func cutNote(s string) (note, rest string, err error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, `"`) {
		note, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(note), rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("%s is not a Go string", s)
	}
	rest = strings.TrimSpace(s[len(quoted):])
	after, more := strings.CutPrefix(rest, ";")
	if rest != "" && !more {
		return "", "", fmt.Errorf("%q follows a mark", rest)
	}
	return quoted, after, nil
}

// setNote sets what one note in brackets says.
func (f *Folder) setNote(s string) error {
	if names, ok := strings.CutPrefix(s, readers); ok {
		f.Own = true
		for name := range strings.SplitSeq(names, ",") {
			name = strings.TrimSpace(name)
			if name == "" || strings.ContainsAny(name, `[]{}"`) {
				return fmt.Errorf("%q is not a reader", name)
			}
			f.Readers = append(f.Readers, name)
		}
		return nil
	}
	if s == own {
		f.Own = true
		return nil
	}
	text, err := unquote(s)
	if err != nil {
		return err
	}
	if f.BadMark || f.Mark != (sync.Mark{}) {
		return fmt.Errorf("%q is a second mark", text)
	}
	f.Mark, f.BadMark, err = ParseMark(text)
	return err
}

// ParseMark reads a mark in a drawing: a key of the world's own tenant, which
// leaves the tenant empty; another tenant and a key; or the words for a mark that
// cannot be read.
func ParseMark(s string) (m sync.Mark, bad bool, err error) {
	if s == badMark {
		return m, true, nil
	}
	m.Key = sync.Key(s)
	if !m.Key.Valid() {
		if m, err = sync.ParseMark(s); err != nil {
			return m, false, fmt.Errorf("%q is not a mark such as company/250, group/type:1, other company/250 or %s", s, badMark)
		}
	}
	return m, false, nil
}

// WriteMark is the inverse of [ParseMark].
func WriteMark(m sync.Mark, bad bool) string {
	switch {
	case bad:
		return badMark
	case m.Tenant == "":
		return string(m.Key)
	}
	return m.String()
}

// Of returns the mark with this tenant if it has none.
func Of(tenant string, m sync.Mark) sync.Mark {
	if m.Key != "" && m.Tenant == "" {
		m.Tenant = tenant
	}
	return m
}

// WithoutTenant is the inverse of [Of]: it removes this tenant from a mark.
func WithoutTenant(tenant string, m sync.Mark) sync.Mark {
	if m.Tenant == tenant {
		m.Tenant = ""
	}
	return m
}

// String draws the folder's contents, secrets first, then folders by name. It is
// the inverse of [Folders].
func (f *Folder) String() string {
	var b strings.Builder
	f.draw(&b, "")
	return b.String()
}

func (f *Folder) draw(b *strings.Builder, indent string) {
	for _, name := range slices.Sorted(slices.Values(f.Secrets)) {
		if needsQuotes(name) {
			name = quote(name)
		}
		fmt.Fprintf(b, "%s* %s\n", indent, name)
	}
	list := slices.Clone(f.Folders)
	slices.SortStableFunc(list, func(a, b *Folder) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.line(), b.line()))
	})
	for _, one := range list {
		fmt.Fprintf(b, "%s%s\n", indent, one.line())
		one.draw(b, indent+"  ")
	}
}

// line is the folder's own line.
func (f *Folder) line() string {
	var notes []string
	name, quoted := f.Name, false
	if mark := WriteMark(f.Mark, f.BadMark); mark != "" {
		if quoted = needsQuotes(mark) || strings.ContainsAny(mark, ";[]") || strings.HasPrefix(mark, readers); quoted {
			mark = quote(mark)
		}
		notes = append(notes, mark)
	}
	if f.Own && len(f.Readers) == 0 {
		notes = append(notes, own)
	}
	if len(f.Readers) > 0 {
		notes = append(notes, readers+" "+strings.Join(f.Readers, ", "))
	}
	if quoted || needsQuotes(name) || strings.ContainsAny(name, "[]") || name[0] == '*' {
		name = quote(name)
	}
	if len(notes) > 0 {
		name += " [" + strings.Join(notes, "; ") + "]"
	}
	return name
}

// Walk calls visit for every folder below it, each before its contents.
func (f *Folder) Walk(visit func(in, one *Folder) error) error {
	for _, one := range f.Folders {
		if err := visit(f, one); err != nil {
			return err
		}
		if err := one.Walk(visit); err != nil {
			return err
		}
	}
	return nil
}
