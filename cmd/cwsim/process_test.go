//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestProcesses builds cwsim and cwvault and lets them talk: the plan comes out
// of the worlds that the simulators were started with.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs, which -short asks not to")
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "cwvault/cmd/cwsim", "cwvault/cmd/cwvault")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		world  []string
		faults string // of ConnectWise
		code   int
		want   []string
	}{
		"the sample": {want: []string{
			`rename company/250 \Clients\Customer\Active\Alovet GmbH`,
			`move company/252 \Clients\Customer\Active\Cobalt Dental Care`,
			`create company/253 \Clients\Customer\Active\Dunmore Legal LLP`,
		}},
		"a scenario": {world: []string{"--world", "../../testdata/scenarios/04-renamed.txtar"}},
		"a fault":    {faults: "rows half  path=/company/companies\n", code: 5},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"connectwise"}, c.world...)
			if c.faults != "" {
				args = append(args, "--faults", writeFile(t, "faults", c.faults))
			}
			env := "CWVAULT_STATE=" + filepath.Join(t.TempDir(), "cwvault.db") + "\n" +
				serveProcess(t, filepath.Join(dir, "cwsim"), args...) +
				serveProcess(t, filepath.Join(dir, "cwsim"), append([]string{"secretserver"}, c.world...)...)
			plan := exec.CommandContext(t.Context(), filepath.Join(dir, "cwvault"), "--env-file", writeFile(t, "env", env), "plan", "--format", "json")
			plan.Env = []string{"HOME=" + dir}
			var out, errs bytes.Buffer
			plan.Stdout, plan.Stderr = &out, &errs
			_ = plan.Run() // the code says all
			if code := plan.ProcessState.ExitCode(); code != c.code {
				t.Fatalf("cwvault plan: exit code %d, want %d\n%s", code, c.code, errs.String())
			}
			if c.code != 0 {
				return
			}
			var got struct {
				Steps  []struct{ Op, Key, To string }
				Counts struct{ Unchanged int }
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			var steps []string
			for _, s := range got.Steps {
				steps = append(steps, s.Op+" "+s.Key+" "+s.To)
			}
			if strings.Join(steps, "\n") != strings.Join(c.want, "\n") || got.Counts.Unchanged == 0 {
				t.Errorf("the plan:\n%s", out.String())
			}
		})
	}
}

// TestStopsWhileRequestsHang: neither a request without an answer nor a second
// simulator beside it keeps cwsim from ending.
func TestStopsWhileRequestsHang(t *testing.T) {
	for name, c := range map[string]struct{ faults, url, path string }{
		"connectwise":  {"hang\n", "CWVAULT_CONNECTWISE_URL", "/login/companyinfo/acmeinc"},
		"secretserver": {"slow 1h\n", "CWVAULT_VAULT_URL", "/api/v1/version"},
	} {
		t.Run(name, func(t *testing.T) {
			start(t, name) // the second
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			out, printed := io.Pipe()
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{name, "--faults", writeFile(t, "faults", c.faults)}, printed, io.Discard)
				printed.Close()
			}()
			url := ""
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "ready" {
				if value, ok := strings.CutPrefix(lines.Text(), c.url+"="); ok {
					url = value
				}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			sent, answered := make(chan struct{}), make(chan error, 1)
			req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) },
			}))
			go func() {
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err == nil {
					resp.Body.Close()
				}
				answered <- err
			}()
			<-sent
			stop()
			if code := <-ended; code != 0 {
				t.Errorf("exit code %d", code)
			}
			if err := <-answered; err == nil {
				t.Error("the request was answered")
			}
		})
	}
}

// serveProcess runs cwsim until the test ends and returns the settings that it
// prints. SIGTERM must end it well.
func serveProcess(t *testing.T, path string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("cwsim %v: %v\n%s", args, err, errs.String())
		}
	})
	var settings strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return settings.String()
		}
		settings.WriteString(lines.Text() + "\n")
	}
	t.Fatalf("cwsim %v is not ready", args)
	return ""
}
