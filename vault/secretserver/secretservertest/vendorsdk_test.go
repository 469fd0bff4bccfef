package secretservertest

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVendorSDK lets a client that we have not written, Delinea's Go SDK, sign
// in and read a secret: on premises with a domain, and through the Platform,
// for which the SDK wants TLS.
func TestVendorSDK(t *testing.T) {
	dir := filepath.Join("testdata", "tsssdk")
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOTOOLCHAIN=local")
		return cmd
	}
	if out, err := command("list", "-deps", "./...").CombinedOutput(); err != nil {
		t.Skipf("the SDK's modules are not here (go mod download in %s): %v\n%s", dir, err, out)
	}
	program := filepath.Join(t.TempDir(), "tsssdk")
	if out, err := command("build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}

	cert, _, der := certificate(t)
	for name, opt := range map[string]Options{
		"on premises": {Username: "svc", Password: "p&w", Domain: "CORP"},
		"cloud":       {Base: "/"},
		"platform":    {Platform: true, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, opt)
			root := s.AddFolder(-1, "Integrations")
			s.Grant(root, s.opt.Username, "View", "View")
			id := s.AddSecret(root, "ConnectWise", "Web Password", map[string]string{"username": "acmeinc+key", "password": "hunter2"})
			s.AddSecret(root, "Other", "Web Password", nil)

			cmd := exec.CommandContext(t.Context(), program)
			at := s.URL()
			vault, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			if s.PlatformURL() != "" {
				at = s.PlatformURL()
			}
			cmd.Env = append(os.Environ(), "TSS_URL="+at, "TSS_USERNAME="+s.opt.Username, "TSS_PASSWORD="+s.opt.Password, "TSS_DOMAIN="+s.opt.Domain,
				"TSS_VAULT_HOST="+vault.Host, "TSS_SECRET_ID="+strconv.Itoa(id), `TSS_SECRET_PATH=\Integrations\ConnectWise`, "NO_PROXY=*")
			if opt.TLS != nil {
				cmd.Env = append(cmd.Env, "TSS_CA="+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
			}
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("the SDK: %v", err)
			}
			type secret struct {
				Name, Username, Password string
				FolderID                 int
			}
			var got []secret
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			x := secret{"ConnectWise", "acmeinc+key", "hunter2", root}
			if d := cmp.Diff([]secret{x, x, x}, got); d != "" {
				t.Errorf("by id, by path, by search (-want +got):\n%s", d)
			}
		})
	}
}
