//go:build linux

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// imageUser is who the program is in the image.
const imageUser = 65532

// container runs the image that CWVAULT_TEST_IMAGE names, as CWVAULT_TEST_PODMAN
// says, for example "podman --runtime runc".
type container struct {
	t      *testing.T
	podman []string
	image  string
}

func newContainer(t *testing.T) *container {
	t.Helper()
	image := os.Getenv("CWVAULT_TEST_IMAGE")
	if image == "" {
		t.Skip("needs an image and podman: .ci/run makes one, and runs this with CWVAULT_TEST_IMAGE")
	}
	podman := strings.Fields(os.Getenv("CWVAULT_TEST_PODMAN"))
	if len(podman) == 0 {
		podman = []string{"podman"}
	}
	return &container{t: t, podman: podman, image: image}
}

func (c *container) command(args ...string) *exec.Cmd {
	args = append(append([]string(nil), c.podman[1:]...), args...)
	return exec.Command(c.podman[0], args...)
}

// run runs the image locked down as far as can be, and returns what it prints
// and its exit code.
func (c *container) run(options []string, args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	all := append([]string{"run", "--rm", "--network=none"}, lockedDown...)
	all = append(append(all, options...), c.image)
	cmd := c.command(append(all, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// lockedDown is what docs/DEPLOY.md says to run it with. The limits are the
// machine's own: some machines refuse to raise them.
var lockedDown = []string{"--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"}

// TestContainer runs the image.
func TestContainer(t *testing.T) {
	c := newContainer(t)
	t.Run("version", func(t *testing.T) {
		stdout, stderr, code := c.run(nil, "version")
		want := "cwvault " + os.Getenv("CWVAULT_TEST_VERSION") + " commit "
		if code != 0 || !strings.HasPrefix(stdout, want) || stderr != "" {
			t.Errorf("code %d, output %q, errors %q", code, stdout, stderr)
		}
	})
	t.Run("no settings", func(t *testing.T) {
		stdout, stderr, code := c.run(nil, "check")
		if code != exitConfig || !strings.Contains(stdout, "CWVAULT_VAULT_URL") {
			t.Errorf("code %d, output %q, errors %q", code, stdout, stderr)
		}
		// The journal's directory belongs to the user of the image.
		if !strings.Contains(stdout, "/var/lib/cwvault/cwvault.db, which the first resync makes") {
			t.Errorf("the journal cannot be made there:\n%s", stdout)
		}
	})
	t.Run("serve is what it does", func(t *testing.T) {
		_, stderr, code := c.run(nil)
		if code != exitConfig || !strings.Contains(stderr, "CWVAULT_VAULT_URL") {
			t.Errorf("code %d, errors %q", code, stderr)
		}
	})
	t.Run("configuration", func(t *testing.T) {
		out, err := c.command("image", "inspect", c.image).Output()
		if err != nil {
			t.Fatal(err)
		}
		var images []struct {
			User   string
			Size   int64
			Config struct {
				WorkingDir, StopSignal string
				Entrypoint, Cmd        []string
				Labels                 map[string]string
			}
		}
		if err := json.Unmarshal(out, &images); err != nil || len(images) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		image := images[0]
		if image.User != fmt.Sprintf("%d:%[1]d", imageUser) || image.Config.WorkingDir != "/var/lib/cwvault" ||
			image.Config.Labels["org.opencontainers.image.version"] != os.Getenv("CWVAULT_TEST_VERSION") {
			t.Errorf("image %+v", image)
		}
	})
}

// TestContainerServes runs the service in a container, against a ConnectWise on
// this machine and a password store on a volume.
func TestContainerServes(t *testing.T) {
	c := newContainer(t)
	s := newSite(t)
	s.world.add(1, "Alovet, Inc", "Customer", "Active")
	dir := filepath.Dir(s.store)
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, imageUser, imageUser)
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()

	args := append([]string{"run", "--detach", "--network=host"}, lockedDown...)
	args = append(args, "--volume="+s.store+":/store", "--volume="+state+":/var/lib/cwvault")
	for _, entry := range s.env {
		switch name, _, _ := strings.Cut(entry, "="); {
		case strings.HasPrefix(name, "CWVAULT_CONNECTWISE_"):
			args = append(args, "--env="+entry)
		}
	}
	args = append(args, "--env=CWVAULT_VAULT_URL=passwordstore:/store", "--env=CWVAULT_LISTEN="+address, c.image)
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Fields(string(out))
	id := lines[len(lines)-1]
	defer func() { _ = c.command("rm", "--force", id).Run() }() // gone when all went well
	logs := func() string {
		out, _ := c.command("logs", id).CombinedOutput() // only shown
		return string(out)
	}

	folder := filepath.Join(s.store, "Clients", "Customer", "Active", "Alovet, Inc")
	waitUntil(t, logs, func() bool { _, err := os.Stat(folder); return err == nil })
	waitUntil(t, logs, func() bool {
		response, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	for _, path := range []string{folder, filepath.Join(state, "cwvault.db")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != imageUser {
			t.Errorf("%s belongs to user %d", path, owner)
		}
	}
	if out, err := c.command("stop", "--time=30", id).CombinedOutput(); err != nil {
		t.Fatalf("stop: %v: %s", err, out)
	}
	out, err = c.command("inspect", "--format={{.State.ExitCode}}", id).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Errorf("exit code %s, %v\n%s", out, err, logs())
	}
}

func waitUntil(t *testing.T, logs func() string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute:\n%s", logs())
		}
	}
}
