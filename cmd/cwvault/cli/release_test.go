package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRelease looks at what "make release" made in the directory that
// CWVAULT_TEST_RELEASE names, as version CWVAULT_TEST_VERSION.
func TestRelease(t *testing.T) {
	dir, version := os.Getenv("CWVAULT_TEST_RELEASE"), os.Getenv("CWVAULT_TEST_VERSION")
	if dir == "" {
		t.Skip("needs a release: .ci/run makes one, and runs this with CWVAULT_TEST_RELEASE")
	}
	targets := []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}
	want := map[string]bool{}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(target, "/")
			name := fmt.Sprintf("cwvault-%s-%s-%s", version, goos, goarch)
			if goos == "windows" {
				name += ".exe"
			}
			want[name] = true
			path := filepath.Join(dir, name)
			info, err := buildinfo.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			settings := map[string]string{}
			for _, s := range info.Settings {
				settings[s.Key] = s.Value
			}
			wantSettings := map[string]string{"GOOS": goos, "GOARCH": goarch, "CGO_ENABLED": "0", "-trimpath": "true", "vcs": "git"}
			for key, value := range wantSettings {
				if settings[key] != value {
					t.Errorf("built with %s=%q, want %q", key, settings[key], value)
				}
			}
			if len(commitOf(info)) < 40 {
				t.Errorf("commit %q", commitOf(info))
			}
			checkFormat(t, path, goos, goarch)
			checkNoPaths(t, path)
			if goos == runtime.GOOS && goarch == runtime.GOARCH {
				out, err := exec.Command(path, "version").CombinedOutput()
				wantOut := fmt.Sprintf("cwvault %s commit %s %s %s\n", version, commitOf(info), info.GoVersion, target)
				if err != nil || string(out) != wantOut {
					t.Errorf("prints %q, error %v; want %q", out, err, wantOut)
				}
			}
		})
	}
	sums, err := os.Open(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s has another sum", name)
		}
		listed[name] = true
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("SHA256SUMS (-want +got)\n%s", diff)
	}
}

// checkFormat sees that a program is for the right machine and, on Linux, that
// it needs no loader and no library.
func checkFormat(t *testing.T, path, goos, goarch string) {
	t.Helper()
	switch goos {
	case "linux":
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[goarch]; f.Machine != want {
			t.Errorf("is for %v", f.Machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("is not static: has %v", p.Type)
			}
		}
	case "darwin":
		f, err := macho.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Cpu != macho.CpuArm64 {
			t.Errorf("is for %v", f.Cpu)
		}
	case "windows":
		f, err := pe.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
			t.Errorf("is for %#x", f.Machine)
		}
		if symbols, err := f.ImportedSymbols(); err != nil || len(symbols) == 0 {
			t.Errorf("imports %q, error %v", symbols, err)
		} else {
			for _, s := range symbols {
				if _, library, _ := strings.Cut(s, ":"); !strings.EqualFold(library, "kernel32.dll") {
					t.Errorf("needs %s when it is loaded", s)
				}
			}
		}
	}
}

// checkNoPaths sees that a program tells nothing of the machine that built it.
func checkNoPaths(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{checkout + "/", strings.TrimSpace(string(modules)) + "/"} {
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("contains %s", text)
		}
	}
	if !bytes.Contains(content, []byte("cwvault/cmd/cwvault")) {
		t.Error("does not contain the names of its own files")
	}
}
