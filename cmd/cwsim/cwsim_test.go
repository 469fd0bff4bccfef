package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cwvault/connectwise/connectwisetest"
	"cwvault/vault/secretserver/secretservertest"
)

// writeFile writes a file for one test.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs cwsim until the test ends, and returns the settings that it prints.
func start(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var errs bytes.Buffer
	var ended gosync.WaitGroup
	ended.Go(func() {
		if code := run(ctx, args, w, &errs); code != 0 {
			t.Errorf("exit code %d: %s", code, errs.String())
		}
		w.Close()
	})
	t.Cleanup(func() {
		cancel()
		ended.Wait()
	})
	settings := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return settings
		}
		name, value, _ := strings.Cut(lines.Text(), "=")
		settings[name] = value
	}
	t.Fatalf("not ready after %v: %s", settings, errs.String())
	return nil
}

func TestSettings(t *testing.T) {
	world := writeFile(t, "world", `-- settings --
CWVAULT_CONNECTWISE_COMPANY_ID=other
CWVAULT_CONNECTWISE_PRIVATE_KEY=' key'
CWVAULT_VAULT_PASSWORD=p w
CWVAULT_ROOT=\A\B
-- vault --
A
  B
    C [company/1]
`)
	cw := start(t, "connectwise", "--world", world)
	again := start(t, "connectwise")
	for name, want := range map[string]string{
		"CWVAULT_CONNECTWISE_COMPANY_ID": "other", "CWVAULT_CONNECTWISE_PRIVATE_KEY": `"' key'"`,
		"CWVAULT_CONNECTWISE_CLIENT_ID": again["CWVAULT_CONNECTWISE_CLIENT_ID"],
	} {
		if cw[name] != want || want == "" {
			t.Errorf("%s=%s, want %s", name, cw[name], want)
		}
	}
	if cw["CWVAULT_CONNECTWISE_PUBLIC_KEY"] == again["CWVAULT_CONNECTWISE_PUBLIC_KEY"] || len(again["CWVAULT_CONNECTWISE_PRIVATE_KEY"]) < 20 {
		t.Errorf("keys are not random: %v, %v", cw, again)
	}
	ss := start(t, "secretserver", "--world", world)
	again = start(t, "secretserver")
	if ss["CWVAULT_ROOT"] != `\A\B` || ss["CWVAULT_VAULT_PASSWORD"] != "p w" || ss["CWVAULT_VAULT_USERNAME"] != "svc-cwvault" {
		t.Errorf("settings %v", ss)
	}
	if again["CWVAULT_ROOT"] != `\Clients` || len(again["CWVAULT_VAULT_PASSWORD"]) < 20 {
		t.Errorf("settings of the sample %v", again)
	}
	none := start(t, "secretserver", "--world", writeFile(t, "none", "-- companies --\n"))
	if none["CWVAULT_ROOT"] != `\Clients` {
		t.Errorf("settings of a world without a vault %v", none)
	}
}

// TestRefuses: what a person got wrong ends with 64 and says where it is.
func TestRefuses(t *testing.T) {
	world := writeFile(t, "world", "-- companies --\n250 a A Client Active\n")
	parent := writeFile(t, "parent", "-- companies --\n250 a A - - parent=9\n")
	twins := writeFile(t, "twins", "-- vault --\nClients\n  A\n  a\n")
	group := writeFile(t, "group", "-- settings --\nCWVAULT_VAULT_USERNAME=Team\n")
	noRoot := writeFile(t, "root", "-- settings --\nCWVAULT_ROOT=\\\n")
	oddRoot := writeFile(t, "root", "-- settings --\nCWVAULT_ROOT=\\"+strings.Repeat("a", 300)+"\n")
	faults := writeFile(t, "faults", "# a remark\nhang times=1\nexplode\n")
	option := writeFile(t, "option", "hang every=2\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 64, ""},
		{"nonsense", 64, "unexpected argument nonsense"},
		{"connectwise --listen 0.0.0.0:0", 64, "--listen 0.0.0.0:0: a simulator is for this machine alone"},
		{"connectwise --listen :0", 64, "--listen :0: a simulator is for this machine alone"},
		{"secretserver --listen 192.0.2.1:80", 64, "a simulator is for this machine alone"},
		{"secretserver --listen example.com:80", 64, "a simulator is for this machine alone"},
		{"connectwise --listen 127.0.0.1", 64, "want a host and a port"},
		{"connectwise --listen 127.0.0.1:99999", 64, "invalid port"},
		{"connectwise --listen " + taken.Addr().String(), 1, "address already in use"},
		{"secretserver --listen " + taken.Addr().String(), 1, "address already in use"},
		{"connectwise --world /no/such/file", 64, "--world: open /no/such/file"},
		{"connectwise --world " + world, 64, "--world: " + world + `:2: there is no "Client" among the types`},
		{"connectwise --world " + parent, 64, "--world: " + parent + ":2: there is no company 9"},
		{"secretserver --world " + twins, 64, "--world: " + twins + `:4: add folder "a" below 1: 400 A folder with the name`},
		{"secretserver --world " + group, 64, "--world: " + group + `: the account cannot be "Team"`},
		{"secretserver --world " + noRoot, 64, "--world: " + noRoot + `: CWVAULT_ROOT=\ names no folder`},
		{"secretserver --world " + oddRoot, 64, "--world: " + oddRoot + `: add folder "aaa`},
		{"connectwise --faults /no/such/file", 64, "--faults: open /no/such/file"},
		{"connectwise --faults " + faults, 64, "--faults: " + faults + `:3: there is no fault "explode"`},
		{"secretserver --faults " + faults, 64, "--faults: " + faults + `:2: there is no fault "hang"`},
		{"connectwise --faults " + option, 64, "--faults: " + option + `:1: "every=2": what may follow a fault is method=, path=, skip=, times=`},
	} {
		var out, errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // for one that is served after all
		code := run(ctx, strings.Fields(c.args), &out, &errs)
		cancel()
		if code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("cwsim %s: exit code %d, want %d: %s", c.args, code, c.code, errs.String())
		}
		if c.args != "" && out.Len() > 0 {
			t.Errorf("cwsim %s prints %s", c.args, out.String())
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"connectwise", "--help"}, {"secretserver", "--help"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, io.Discard); code != 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if !strings.HasSuffix(out.String(), "\n"+exitCodes) || !strings.Contains(out.String(), "\nExample:\n  cwsim ") {
			t.Errorf("%v: no example and exit codes at the end:\n%s", args, out.String())
		}
	}
	var out bytes.Buffer
	run(t.Context(), []string{"secretserver", "--help"}, &out, io.Discard)
	if !strings.Contains(out.String(), "expire-tokens") || strings.Contains(out.String(), "foreign-link") {
		t.Errorf("the faults of another simulator:\n%s", out.String())
	}
}

// TestFaultWords: every fault can be written, with an argument where it has one,
// and does something.
func TestFaultWords(t *testing.T) {
	arguments := map[string]string{
		"CODE": "503", "SECONDS": "1", "URL": "http://127.0.0.1:1", "DURATION": "1ms", "BYTES": "3", "DELTA": "-1", "EDIT": "half",
	}
	for _, w := range connectwiseFaults {
		line := strings.TrimSpace(w.name + " " + arguments[w.argument])
		n := 0
		err := parseFaults(line+"  method=GET  skip=2  times=1", connectwiseFaults, connectwiseOptions, func(f connectwisetest.Fault, at when) {
			n++
			if at != (when{method: "GET", skip: 2, times: 1}) {
				t.Errorf("%s: when %+v", line, at)
			}
			if f.Status == 0 && !f.Hang && f.Delay == 0 && f.CutAfter == 0 && f.Edit == nil {
				t.Errorf("%s does nothing", line)
			}
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d faults, %v", line, n, err)
		}
		bad := w.name + " x y z"
		if err := parseFaults(bad, connectwiseFaults, connectwiseOptions, func(connectwisetest.Fault, when) {}); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	server, err := secretservertest.New(secretservertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	words := secretserverFaults(server)
	for _, w := range words {
		line := strings.TrimSpace(w.name + " " + arguments[w.argument])
		n := 0
		err := parseFaults(line+"  path=/api/v1/folders/*  every=3", words, secretserverOptions, func(f secretservertest.Fault, at when) {
			n++
			if at != (when{path: "/api/v1/folders/*", every: 3}) {
				t.Errorf("%s: when %+v", line, at)
			}
			if f.Status == 0 && !f.HTML200 && f.Delay == 0 && !f.CutBefore && !f.CutAfterWork && !f.CutBody && f.Run == nil {
				t.Errorf("%s does nothing", line)
			}
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d faults, %v", line, n, err)
		}
	}
}

// TestFaultsRefused: a fault that would never strike is refused.
func TestFaultsRefused(t *testing.T) {
	for line, want := range map[string]string{
		"slow -1s":                   `slow: "-1s" is not a duration such as 2s`,
		"slow soon":                  `slow: "soon" is not a duration such as 2s`,
		"slow":                       "slow: DURATION is missing",
		"wrong-count x":              `wrong-count: "x" is not a number`,
		"cut 0":                      `cut: "0" is not a number above 0`,
		"status 99":                  `status: "99" is not an HTTP status`,
		"rows x":                     `rows: "x": none, half, reversed or doubled`,
		"hang method=get":            `method: "get" is none of GET, HEAD, POST, PUT, PATCH, DELETE`,
		"hang path=":                 `path: "" is not a path such as /company/companies`,
		"hang path=company":          `path: "company" is not a path such as /company/companies`,
		"hang path=/company/[":       `path: "/company/[" is not a path such as /company/companies`,
		"hang times=0":               `times: "0" is not a number above 0`,
		"hang skip=-1":               `skip: "-1" is not a number`,
		"hang 3":                     `"3": what may follow a fault is method=, path=, skip=, times=`,
		`hang path="/company`:        `"/company is not a Go string`,
		"hang every=1":               `"every=1": what may follow a fault is method=, path=, skip=, times=`,
		"too-many-requests -1":       `too-many-requests: "-1" is not a number`,
		"status 503 times=1 times=x": `times: "x" is not a number`,
	} {
		err := parseFaults("\n"+line, connectwiseFaults, connectwiseOptions, func(connectwisetest.Fault, when) {})
		if err == nil || err.Error() != "line 2: "+want {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// TestFaultsAct: a file of faults changes what the server answers, and when it
// says.
func TestFaultsAct(t *testing.T) {
	statuses := func(url string) (list []int) {
		for range 4 {
			client := http.Client{Timeout: 30 * time.Second}
			resp, err := client.Get(url)
			if err != nil {
				list = append(list, 0)
				continue
			}
			resp.Body.Close()
			list = append(list, resp.StatusCode)
		}
		return list
	}
	cw := start(t, "connectwise", "--faults", writeFile(t, "faults", "status 503 path=/companyinfo/acmeinc skip=1 times=1\nlost path=/companyinfo/acmeinc skip=2\n"))
	got := statuses(cw["CWVAULT_CONNECTWISE_URL"] + "/login/companyinfo/acmeinc")
	if want := []int{200, 503, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("ConnectWise answers %v, want %v", got, want)
	}
	ss := start(t, "secretserver", "--faults", writeFile(t, "faults", "late-status 504 path=/api/v1/version every=2 times=1\nrefused method=POST\n"))
	got = statuses(ss["CWVAULT_VAULT_URL"] + "/api/v1/version")
	if want := []int{got[0], 504, got[0], got[0]}; !slices.Equal(got, want) || got[0] == 504 {
		t.Errorf("Secret Server answers %v, want %v", got, want)
	}
}
