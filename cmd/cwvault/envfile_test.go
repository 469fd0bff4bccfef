package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEnvFile(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		err  string // part of the error; what follows the name of a setting must not be in it
	}{
		"empty":               {"", nil, ""},
		"comments and blanks": {"# CWVAULT_A=1\n\n  \t\n   # x\nCWVAULT_B=2", []string{"CWVAULT_B=2"}, ""},
		"nothing is expanded": {`CWVAULT_FOLDER_STRUCTURE=$TYPE\$STATUS`, []string{`CWVAULT_FOLDER_STRUCTURE=$TYPE\$STATUS`}, ""},
		"not in double quotes either": {`CWVAULT_FOLDER_STRUCTURE="${TYPE}s\n$STATUS"`,
			[]string{`CWVAULT_FOLDER_STRUCTURE=${TYPE}s\n$STATUS`}, ""},
		"single quotes":           {`CWVAULT_ROOT='\Clients '`, []string{`CWVAULT_ROOT=\Clients `}, ""},
		"one pair only":           {`CWVAULT_A='"x"'`, []string{`CWVAULT_A="x"`}, ""},
		"quotes within":           {`CWVAULT_A=it's "so"`, []string{`CWVAULT_A=it's "so"`}, ""},
		"empty quotes":            {`CWVAULT_A=""`, []string{`CWVAULT_A=`}, ""},
		"a # in a value":          {`CWVAULT_TOKEN=a#b #c`, []string{`CWVAULT_TOKEN=a#b #c`}, ""},
		"an = in a value":         {`CWVAULT_TOKEN=abc==`, []string{`CWVAULT_TOKEN=abc==`}, ""},
		"space around":            {"\tCWVAULT_A =  x y \t", []string{"CWVAULT_A=x y"}, ""},
		"line ends of Windows":    {"CWVAULT_A=1\r\nCWVAULT_B='2'\r\n", []string{"CWVAULT_A=1", "CWVAULT_B=2"}, ""},
		"byte order mark":         {"\ufeffCWVAULT_A=1", []string{"CWVAULT_A=1"}, ""},
		"empty value":             {"CWVAULT_A=", []string{"CWVAULT_A="}, ""},
		"no =":                    {"# x\nCWVAULT_TOKEN hunter2", nil, "line 2: not of the form CWVAULT_NAME=VALUE"},
		"a value over two lines":  {"CWVAULT_A=1\nhunter2=", nil, "line 2: not of the form"},
		"export":                  {"export CWVAULT_TOKEN=hunter2", nil, "line 1: not of the form"},
		"not a setting":           {"HTTPS_PROXY=http://hunter2", nil, "nothing but cwvault's own settings"},
		"lower case":              {"cwvault_token=hunter2", nil, "line 1: not of the form"},
		"quote without end":       {`CWVAULT_TOKEN="hunter2`, nil, "line 1: the value of CWVAULT_TOKEN begins with a quote"},
		"a lone quote":            {`CWVAULT_TOKEN="`, nil, "begins with a quote"},
		"other quote at the end":  {`CWVAULT_TOKEN="hunter2'`, nil, "begins with a quote"},
		"twice":                   {"CWVAULT_TOKEN=hunter2\n\nCWVAULT_TOKEN=hunter2", nil, "line 3: CWVAULT_TOKEN is set already in line 1"},
		"not text":                {"CWVAULT_TOKEN=\xff\xfehunter2", nil, "line 1: the value of CWVAULT_TOKEN is not UTF-8"},
		"zero byte":               {"CWVAULT_TOKEN=hunter2\x00", nil, "is not UTF-8"},
		"UTF-16, as of Notepad":   {"\xff\xfeC\x00W\x00V\x00", nil, "line 1: not of the form"},
		"every problem is listed": {"hunter2\nCWVAULT_A=1\nhunter2", nil, "line 3: not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseEnvFile([]byte(test.text))
			if test.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a value: %v", err)
			}
		})
	}
}

// FuzzEnvFile: whatever the text, what is read from it can be written down and
// read again, and no error shows a value.
func FuzzEnvFile(f *testing.F) {
	f.Add([]byte("CWVAULT_A='1'\r\n#\nCWVAULT_B=\"2"))
	f.Add([]byte("\ufeffCWVAULT_A= $x\\ "))
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := parseEnvFile(text)
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, entry := range settings {
			name, value, _ := strings.Cut(entry, "=")
			again.WriteString(name + `="` + value + "\"\n")
		}
		got, err := parseEnvFile(again.Bytes())
		if diff := cmp.Diff(settings, got); err != nil || diff != "" {
			t.Errorf("written and read again: %v\n%s", err, diff)
		}
	})
}

func writeEnvFile(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cwvault.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvFileAndEnvironment(t *testing.T) {
	a := &app{
		process: []string{"PATH=/bin", "CWVAULT_ROOT=process", "CWVAULT_MISSING=", "CWVAULT_TYPES=old", "CWVAULT_TYPES="},
		envFile: writeEnvFile(t, 0o600, "CWVAULT_ROOT=file\nCWVAULT_MISSING=file\nCWVAULT_STATUSES=file\nCWVAULT_TYPES=file\n"),
	}
	settings := func() map[string]string {
		t.Helper()
		environ, err := a.reload()
		if err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(t.Context(), environ)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"root": c.Root, "missing": c.Missing, "statuses": c.Statuses, "types": c.Types}
	}
	want := map[string]string{"root": "process", "missing": "file", "statuses": "file", "types": "file"}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What was taken from the file before must not stay in the environment.
	if err := os.WriteFile(a.envFile, []byte("CWVAULT_MISSING=new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"root": "process", "missing": "new", "statuses": "", "types": ""}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("after a change (-want +got)\n%s", diff)
	}
	if err := os.Remove(a.envFile); err != nil {
		t.Fatal(err)
	}
	if _, err := a.reload(); err == nil || exitCode(err) != exitConfig || !strings.Contains(err.Error(), a.envFile) {
		t.Errorf("a file that is gone: %v", err)
	}
}

// TestEnvFileFlag runs commands with the flag.
func TestEnvFileFlag(t *testing.T) {
	for name, test := range map[string]struct {
		mode   os.FileMode
		text   string
		code   int
		stderr []string
		not    string
	}{
		"settings are used":     {0o600, "CWVAULT_WORKERS=many", exitConfig, []string{`CWVAULT_WORKERS: "many" is not a number`}, "everybody"},
		"unknown ones are told": {0o600, "CWVAULT_ROOTS=x", exitConfig, []string{"unknown setting", "CWVAULT_ROOTS"}, "everybody"},
		"secrets for everybody": {0o644, "CWVAULT_TOKEN=hunter2", exitConfig, []string{"everybody on this machine can read CWVAULT_TOKEN"}, "hunter2"},
		"secrets in an address": {0o644, "CWVAULT_STATE=postgres://u:hunter2@127.0.0.1:1/db", exitConfig,
			[]string{"everybody on this machine can read the password of CWVAULT_STATE"}, "hunter2"},
		"secrets for a group":     {0o640, "CWVAULT_TOKEN=hunter2", exitConfig, nil, "everybody"},
		"no secrets":              {0o644, "CWVAULT_TOKEN_FILE=/nowhere", exitConfig, []string{"CWVAULT_TOKEN_FILE: open /nowhere"}, "everybody"},
		"a file out of shape":     {0o600, "x=hunter2", exitConfig, []string{"--env-file", "cwvault.env: line 1: not of the form"}, "hunter2"},
		"a file that is too long": {0o600, strings.Repeat("#", envFileMost+1), exitConfig, []string{"is larger than"}, "##"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			path := writeEnvFile(t, test.mode, test.text)
			code := run(t.Context(), []string{"plan", "--env-file", path}, nil, &stdout, &stderr)
			if code != test.code || stdout.Len() > 0 {
				t.Errorf("exit code %d, want %d; output %q", code, test.code, stdout.String())
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("no %q in\n%s", want, stderr.String())
				}
			}
			if strings.Contains(stderr.String(), test.not) {
				t.Errorf("%q in\n%s", test.not, stderr.String())
			}
		})
	}
	t.Run("before the command, and not there", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		missing := filepath.Join(t.TempDir(), "none.env")
		if code := run(t.Context(), []string{"--env-file", missing, "plan"}, nil, &stdout, &stderr); code != exitConfig {
			t.Errorf("exit code %d\n%s", code, stderr.String())
		}
		if !strings.Contains(stderr.String(), missing) {
			t.Errorf("the file is not named in\n%s", stderr.String())
		}
	})
	t.Run("a directory", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"--env-file", t.TempDir(), "plan"}, nil, &stdout, &stderr)
		if code != exitConfig || !strings.Contains(stderr.String(), "is a directory") {
			t.Errorf("exit code %d\n%s", code, stderr.String())
		}
	})
}
