package settings

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cwvault/sync/run"

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
		"not a setting":           {"HTTPS_PROXY=http://hunter2", nil, "can only hold cwvault's own settings"},
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
	env := Environment{
		Process: []string{"PATH=/bin", "CWVAULT_ROOT=process", "CWVAULT_MISSING=", "CWVAULT_TYPES=old", "CWVAULT_TYPES="},
		File:    writeEnvFile(t, 0o600, "CWVAULT_ROOT=file\nCWVAULT_MISSING=file\nCWVAULT_STATUSES=file\nCWVAULT_TYPES=file\n"),
	}
	settings := func() map[string]string {
		t.Helper()
		environ, _, err := env.Read()
		if err != nil {
			t.Fatal(err)
		}
		c, err := Load(t.Context(), environ, Times{})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"root": c.env.Root, "missing": c.env.Missing, "statuses": c.env.Statuses, "types": c.env.Types}
	}
	want := map[string]string{"root": "process", "missing": "file", "statuses": "file", "types": "file"}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What was taken from the file before must not stay in the environment.
	if err := os.WriteFile(env.File, []byte("CWVAULT_MISSING=new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want = map[string]string{"root": "process", "missing": "new", "statuses": "", "types": ""}
	if diff := cmp.Diff(want, settings()); diff != "" {
		t.Errorf("after a change (-want +got)\n%s", diff)
	}
	if err := os.Remove(env.File); err != nil {
		t.Fatal(err)
	}
	if _, _, err := env.Read(); run.CauseOf(err) != run.CauseSettings || !strings.Contains(err.Error(), env.File) {
		t.Errorf("a file that is gone: %v", err)
	}
}
