package sync

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one setting that is wrong.
type Problem struct {
	// Setting names it: a field of an adapter's Config, or the variable that sets
	// the field. The code that reads variables maps one to the other.
	Setting string
	Text    string // what is wrong with it, such as "is empty"
	Fix     string // what to do; empty: Text says it
}

// Error returns "Setting: Text; Fix", without the parts that are empty.
func (p Problem) Error() string {
	text := p.Text
	if p.Setting != "" {
		text = p.Setting + ": " + text
	}
	if p.Fix != "" {
		text += "; " + p.Fix
	}
	return text
}

// Unwrap returns [ErrConfigured].
func (p Problem) Unwrap() error { return ErrConfigured }

// Problems are all settings that are wrong, as an error of kind [ErrConfigured].
type Problems []Problem

// Add adds a problem.
func (p *Problems) Add(setting, text, fix string) { *p = append(*p, Problem{setting, text, fix}) }

// Note adds err as a problem of a setting, unless err is nil. If err is a
// [Problem], its text and fix are kept.
func (p *Problems) Note(setting string, err error) {
	if err == nil {
		return
	}
	problem := Problem{Text: err.Error()}
	if known, ok := errors.AsType[Problem](err); ok {
		problem = known
	}
	problem.Setting = setting
	*p = append(*p, problem)
}

// within returns err with what it is about before it. A [Problem] stays one.
func within(what string, err error) error {
	if p, ok := errors.AsType[Problem](err); ok {
		p.Text = what + ": " + p.Text
		return p
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Err returns p, or nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Named returns the problems with their settings renamed, for example from fields
// to the variables that set them. A setting that is not in names keeps its name.
func (p Problems) Named(names map[string]string) Problems {
	named := make(Problems, len(p))
	for i, problem := range p {
		if name := names[problem.Setting]; name != "" {
			problem.Setting = name
		}
		named[i] = problem
	}
	return named
}

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns [ErrConfigured].
func (p Problems) Unwrap() error { return ErrConfigured }
