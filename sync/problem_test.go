package sync

import (
	"errors"
	"fmt"
	"testing"
)

func TestProblems(t *testing.T) {
	var none Problems
	if err := none.Err(); err != nil {
		t.Errorf("no problems are an error: %v", err)
	}
	var p Problems
	p.Note("URL", Problem{Text: "is empty", Fix: "write a host"})
	p.Note("CAFile", errors.New("open x: no such file"))
	p.Note("Root", nil)
	p.Add("", "all of it", "")
	err := fmt.Errorf("wrapped: %w", p.Err())
	var back Problems
	if !errors.Is(err, ErrConfigured) || !errors.As(err, &back) || len(back) != 3 || !errors.Is(back[0], ErrConfigured) {
		t.Errorf("%#v is not a list of problems of the kind ErrConfigured", err)
	}
	if got, want := p.Error(), "URL: is empty; write a host\nCAFile: open x: no such file\nall of it"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	named := p.Named(map[string]string{"URL": "CWVAULT_URL"})
	if got, want := named.Error(), "CWVAULT_URL: is empty; write a host\nCAFile: open x: no such file\nall of it"; got != want || p[0].Setting != "URL" {
		t.Errorf("%q, want %q; before %v", got, want, p)
	}
}
