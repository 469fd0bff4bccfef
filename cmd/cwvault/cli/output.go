package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"cwvault/sync/report"
	"cwvault/sync/run"
)

// getenv returns a variable of the environment.
func (a *app) getenv(name string) string {
	for i := len(a.environ) - 1; i >= 0; i-- {
		if k, v, _ := strings.Cut(a.environ[i], "="); k == name {
			return v
		}
	}
	return ""
}

// colours reports whether to use colour on w: only on a person's terminal.
func (a *app) colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// print writes a line of a result.
func (a *app) print(format string, args ...any) error {
	_, err := fmt.Fprintf(a.Stdout, format+"\n", args...)
	return err
}

// printRun writes a run's report and returns its error or exit code.
func (a *app) printRun(e run.Ending, format string) error {
	if e.Run == nil {
		return e.Err
	}
	if err := a.showRun(*e.Run, format); err != nil {
		return err
	}
	if e.Err != nil {
		return e.Err
	}
	if code := exitOf(e); code != exitOK {
		return resultCode(code)
	}
	return nil
}

func (a *app) showRun(r report.Run, format string) error {
	if format == "json" {
		return report.WriteJSON(a.Stdout, r)
	}
	return report.RunText(a.Stdout, r, a.colours(a.Stdout))
}

// writePrivate replaces a file atomically. Only its owner can read it, because a
// plan names customers.
func writePrivate(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".cwvault-*") // mode 0600
	if err != nil {
		return outError(path, err)
	}
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return outError(path, err)
	}
	return nil
}

// outError says why path cannot be written. It does not show the name of the
// temporary file, which no person gave.
func outError(path string, err error) error {
	dir, fix := filepath.Dir(path), ""
	if errors.Is(err, fs.ErrNotExist) {
		fix = "; name a directory that exists"
	}
	var at *fs.PathError
	var rename *os.LinkError
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &rename):
		return fmt.Errorf("--out %s: cannot replace it: %w", path, rename.Err)
	}
	return fmt.Errorf("--out %s: cannot write in %s: %w%s", path, dir, err, fix)
}
