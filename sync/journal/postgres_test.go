package journal

import (
	"strings"
	"testing"
)

func TestPasswordIsNeverInAnError(t *testing.T) {
	for name, test := range map[string]struct{ state, secret string }{
		"nobody listens":            {"postgres://u:s3cr3t@127.0.0.1:1/db?connect_timeout=2", "s3cr3t"},
		"no such host":              {"postgres://u:s3cr3t@host.invalid/db?connect_timeout=2", "s3cr3t"},
		"in the query":              {"postgres://127.0.0.1:1/db?user=u&password=s3cr3t", "s3cr3t"},
		"bad parameter":             {"postgres://u:s3cr3t@127.0.0.1/db?sslmode=maybe", "s3cr3t"},
		"bad port":                  {"postgres://u:s3cr3t@127.0.0.1:port/db", "s3cr3t"},
		"with a slash":              {"postgres://u:s3c/r3t@127.0.0.1/db", "r3t"},
		"with a slash after digits": {"postgres://u:12/r3t@127.0.0.1/db", "r3t"},
		"with an at sign":           {"postgres://u:s3c@r3t@127.0.0.1/db", "r3t"},
		"with a hash":               {"postgres://u:12#r3t@127.0.0.1/db", "r3t"},
		"with a hash after digits":  {"postgres://u:98765#r3t@127.0.0.1/db", "98765"},
		"with a question mark":      {"postgres://u:12?r3t@127.0.0.1/db", "r3t"},
		"with a colon":              {"postgres://u:s3c:r3t@127.0.0.1:1/db", "r3t"},
		"with a percent sign":       {"postgres://u:s3c%r3t@127.0.0.1/db", "r3t"},
		"with a control character":  {"postgres://u:s3c\x7fr3t@127.0.0.1/db", "r3t"},
		"no host":                   {"postgres://u:s3cr3t@/db?host=/nonexistent", "s3cr3t"},
		"another scheme":            {"postgresql+ssl://u:s3cr3t@host/db", "s3cr3t"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(test.state, test.secret) {
				t.Fatal("the case has no secret")
			}
			_, err := Open(t.Context(), test.state, Options{})
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), test.secret) {
				t.Errorf("the password is in the error: %v", err)
			}
			if !strings.Contains(err.Error(), "CWVAULT_STATE") && !strings.Contains(err.Error(), "journal postgres://") {
				t.Errorf("the error does not say where: %v", err)
			}
		})
	}
}
