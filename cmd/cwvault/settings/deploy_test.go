package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tests in this file hold docs/deploy to what it says: the settings exist,
// and the tools that the files are for take them.

const deployDir = "../../../docs/deploy"

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDeployVariables: every setting that the files name exists.
func TestDeployVariables(t *testing.T) {
	files, err := filepath.Glob(deployDir + "/*")
	if err != nil || len(files) < 4 {
		t.Fatalf("files %q, error %v", files, err)
	}
	for _, path := range append(files, "../../../docs/DEPLOY.md") {
		names := regexp.MustCompile(`CWVAULT_[A-Z_]*[A-Z]`).FindAllString(readText(t, path), -1)
		if len(names) == 0 {
			t.Errorf("%s names no setting", path)
		}
		for _, name := range names {
			if name == "CWVAULT_NAME" || name == "CWVAULT_PORT" { // stand for others
				continue
			}
			if names := unknown([]string{name + "=x"}); len(names) > 0 {
				t.Errorf("%s names %s, which is no setting", filepath.Base(path), name)
			}
		}
	}
}

// wrongOf returns what is wrong with settings, but for files of secrets that
// are not there, and the settings that do not exist.
func wrongOf(t *testing.T, environ []string) (c *Settings, problems []string) {
	t.Helper()
	c, err := Load(t.Context(), environ, Times{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.problems {
		if text := p.Error(); !strings.Contains(text, "_FILE: open ") && !strings.Contains(text, "set a CWVAULT_TOKEN") {
			problems = append(problems, text)
		}
	}
	return c, append(problems, unknown(environ)...)
}

// TestDeployEnvFile: the example is right as it stands, and with everything
// that is commented out.
func TestDeployEnvFile(t *testing.T) {
	text := readText(t, deployDir+"/cwvault.env")
	all := regexp.MustCompile(`(?m)^#CWVAULT_`).ReplaceAllString(text, "CWVAULT_")
	for name, text := range map[string]string{"as it is": text, "everything on": all} {
		settings, err := parseEnvFile([]byte(text))
		if err != nil || len(settings) < 8 {
			t.Fatalf("%s: %d settings, error %v", name, len(settings), err)
		}
		c, problems := wrongOf(t, settings)
		if len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
		if c.env.Structure != `$TYPE\$STATUS` {
			t.Errorf("%s: structure %q", name, c.env.Structure)
		}
		if secret := firstSecret(settings); secret != "" {
			t.Errorf("%s: a secret: %s", name, secret)
		}
	}
	if all == text {
		t.Error("nothing is commented out")
	}
}

// TestDeploySystemd: systemd takes the unit, and finds it safe.
func TestDeploySystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed, which is what judges the unit; package systemd")
	}
	text := readText(t, deployDir+"/cwvault.service")
	installed := strings.Replace(text, "/usr/local/bin/cwvault", os.Args[0], 1)
	if installed == text {
		t.Fatal("the unit does not start /usr/local/bin/cwvault")
	}
	unit := filepath.Join(t.TempDir(), "cwvault.service")
	if err := os.WriteFile(unit, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	// Other units of the machine may be complained about; ours has no word.
	if err != nil || strings.Contains(string(out), "cwvault.service") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", unit).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "exposure level for cwvault.service") {
		t.Errorf("an exposure of 2.0 at most is wanted: %v\n%s", err, out)
	}
	// Every secret is handed over, and only what is handed over is named.
	var loaded, used []string
	for _, m := range regexp.MustCompile(`(?m)^LoadCredential=([^:]+):`).FindAllStringSubmatch(text, -1) {
		loaded = append(loaded, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(CWVAULT_[A-Z_]+)_FILE=%d/(.+)$`).FindAllStringSubmatch(text, -1) {
		used = append(used, m[2])
		if !slices.Contains(fromFile, m[1]) {
			t.Errorf("%s cannot be read from a file", m[1])
		}
	}
	if diff := cmp.Diff(loaded, used); diff != "" || len(loaded) < 4 {
		t.Errorf("credentials (-loaded +used)\n%s", diff)
	}
}

// object is a Kubernetes object as JSON.
type object = map[string]any

// at returns what is at a path of an object; nil if nothing is.
func at(value any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := value.(object)
			value = m[s]
		case int:
			list, _ := value.([]any)
			if s >= len(list) {
				return nil
			}
			value = list[s]
		}
	}
	return value
}

func decodeObjects(t *testing.T, text []byte) (objects []object) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
}

func kubectl(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "KUBECONFIG=/dev/null"}
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, stderr.String())
	}
	return out
}

// lost lists what is in want and not, or otherwise, in got.
func lost(path string, want, got any) (problems []string) {
	switch w := want.(type) {
	case object:
		g, _ := got.(object)
		for key, value := range w {
			problems = append(problems, lost(path+"."+key, value, g[key])...)
		}
	case []any:
		g, _ := got.([]any)
		for i, value := range w {
			problems = append(problems, lost(path, value, at(g, i))...)
		}
	default:
		if !cmp.Equal(want, got) {
			problems = append(problems, path)
		}
	}
	return problems
}

// TestDeployKubectl: kubectl reads the manifests; their workloads have no field
// that Kubernetes does not know; names that refer to each other agree; and the
// containers are locked down.
func TestDeployKubectl(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not installed, which is what reads the manifests; 1.21 or later, which is newer than what Debian packages")
	}
	byKind := map[string]object{}
	for _, file := range []string{"kubernetes-deployment.yaml", "kubernetes-cronjob.yaml"} {
		for _, o := range decodeObjects(t, kubectl(t, "", "label", "--local", "-o", "json", "-f", filepath.Join(deployDir, file), "x=y")) {
			byKind[at(o, "kind").(string)] = o
		}
	}
	for _, kind := range []string{"ConfigMap", "PersistentVolumeClaim", "Deployment", "Service", "NetworkPolicy", "CronJob"} {
		if at(byKind[kind], "metadata", "namespace") != at(byKind["Namespace"], "metadata", "name") {
			t.Errorf("%s: namespace %v", kind, at(byKind[kind], "metadata", "namespace"))
		}
	}
	pods := map[string]object{}
	pods["Deployment"], _ = at(byKind["Deployment"], "spec", "template").(object)
	pods["CronJob"], _ = at(byKind["CronJob"], "spec", "jobTemplate", "spec", "template").(object)
	for kind, pod := range pods {
		workload, err := json.Marshal(byKind[kind])
		if err != nil {
			t.Fatal(err)
		}
		// Only this reads into the types of the API, where unknown fields are
		// dropped; and it prints nothing when the image stays the same.
		typed := decodeObjects(t, kubectl(t, string(workload), "set", "image", "--local", "-o", "json", "-f", "-", "cwvault=cwvault:typed"))
		container, _ := at(pod, "spec", "containers", 0).(object)
		if len(typed) != 1 || container["image"] == nil {
			t.Fatalf("%s: image %v, %d objects", kind, container["image"], len(typed))
		}
		container["image"] = "cwvault:typed"
		if problems := lost(kind, byKind[kind], typed[0]); len(problems) > 0 {
			t.Errorf("not known to Kubernetes: %q", problems)
		}
		spec := pod["spec"]
		for _, check := range []struct {
			path []any
			want any
		}{
			{[]any{"securityContext", "runAsNonRoot"}, true},
			{[]any{"securityContext", "seccompProfile", "type"}, "RuntimeDefault"},
			{[]any{"automountServiceAccountToken"}, false},
			{[]any{"enableServiceLinks"}, false},
			{[]any{"containers", 0, "securityContext", "allowPrivilegeEscalation"}, false},
			{[]any{"containers", 0, "securityContext", "readOnlyRootFilesystem"}, true},
			{[]any{"containers", 0, "securityContext", "capabilities", "drop", 0}, "ALL"},
			{[]any{"containers", 0, "envFrom", 0, "configMapRef", "name"}, at(byKind["ConfigMap"], "metadata", "name")},
			{[]any{"containers", 0, "volumeMounts", 0, "mountPath"}, "/var/lib/cwvault"}, // the image's working directory
			{[]any{"containers", 0, "volumeMounts", 0, "name"}, at(spec, "volumes", 0, "name")},
			{[]any{"containers", 0, "volumeMounts", 1, "name"}, at(spec, "volumes", 1, "name")},
			{[]any{"volumes", 0, "persistentVolumeClaim", "claimName"}, at(byKind["PersistentVolumeClaim"], "metadata", "name")},
			{[]any{"volumes", 1, "secret", "defaultMode"}, 0o440 + 0.0},
		} {
			if got := at(spec, check.path...); got != check.want || got == nil {
				t.Errorf("%s: %v is %v, want %v", kind, check.path, got, check.want)
			}
		}
	}
	labels := at(pods["Deployment"], "metadata", "labels")
	for what, selector := range map[string]any{
		"Deployment":    at(byKind["Deployment"], "spec", "selector", "matchLabels"),
		"Service":       at(byKind["Service"], "spec", "selector"),
		"NetworkPolicy": at(byKind["NetworkPolicy"], "spec", "podSelector", "matchLabels"),
		"CronJob":       at(pods["CronJob"], "metadata", "labels"), // is under the policy too
	} {
		if diff := cmp.Diff(labels, selector); diff != "" || labels == nil {
			t.Errorf("%s does not mean the pod (-labels +selector)\n%s", what, diff)
		}
	}
	container := at(pods["Deployment"], "spec", "containers", 0)
	port := at(container, "ports", 0, "name")
	for _, user := range []any{
		at(container, "startupProbe", "httpGet", "port"), at(container, "livenessProbe", "httpGet", "port"), at(container, "readinessProbe", "httpGet", "port"),
		at(byKind["Service"], "spec", "ports", 0, "targetPort"), at(byKind["NetworkPolicy"], "spec", "ingress", 0, "ports", 0, "port"),
	} {
		if user != port || port == nil {
			t.Errorf("port %v, want %v", user, port)
		}
	}
	var environ []string
	data, _ := at(byKind["ConfigMap"], "data").(object)
	secrets, _ := at(container, "volumeMounts", 1, "mountPath").(string)
	for name, value := range data {
		environ = append(environ, name+"="+value.(string))
		if strings.HasSuffix(name, "_FILE") && filepath.Dir(value.(string)) != secrets {
			t.Errorf("%s is %v; the secrets are in %s", name, value, secrets)
		}
	}
	c, problems := wrongOf(t, environ)
	if len(problems) > 0 || c.env.Structure != `$TYPE\$STATUS` || c.Root() != `\Clients` {
		t.Errorf("problems %q; root %q, structure %q", problems, c.Root(), c.env.Structure)
	}
}
