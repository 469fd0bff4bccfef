package httpclient

import (
	"fmt"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for name, test := range map[string]struct {
		secrets    []string
		text, want string
	}{
		"none":                              {nil, "dial tcp", "dial tcp"},
		"long, in a word":                   {[]string{"U2T9bK1x/+="}, "keyU2T9bK1x/+=;", "key[redacted];"},
		"8 characters, in a word":           {[]string{"abcdefgh"}, "xabcdefghx", "x[redacted]x"},
		"7 characters, in a word":           {[]string{"abcdefg"}, "xabcdefgx abcdefgé éabcdefg", "xabcdefgx abcdefgé éabcdefg"},
		"7 characters, a word":              {[]string{"abcdefg"}, `bad "abcdefg": abcdefg`, `bad "[redacted]": [redacted]`},
		"4 characters, a word":              {[]string{"test"}, "test the latest tests: test", "[redacted] the latest tests: [redacted]"},
		"4 characters, after one in a word": {[]string{"test"}, "latest=test", "latest=[redacted]"},
		"4 wide characters":                 {[]string{"日本語鍵"}, "(日本語鍵)", "([redacted])"},
		"3 characters":                      {[]string{"key"}, "the key is bad", "the key is bad"},
		"one letter":                        {[]string{"a"}, "dial a tcp", "dial a tcp"},
		"empty":                             {[]string{""}, "dial tcp", "dial tcp"},
		"one within another":                {[]string{"abcdefgh", "abcdefghijkl"}, "abcdefghijkl abcdefgh", "[redacted] [redacted]"},
		"a secret of the replacement":       {[]string{"redacted", "longersecret"}, "longersecret redacted", "[redacted] [redacted]"},
		"twice in a row":                    {[]string{"abcdefgh"}, "abcdefghabcdefgh", "[redacted][redacted]"},
		"not UTF-8":                         {[]string{"abcdefgh"}, "\xff\xfeabcdefgh\xff", "\xff\xfe[redacted]\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRedactor(test.secrets...)
			if got := r.Redact(test.text); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			for _, shown := range []string{fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r)} {
				for _, secret := range test.secrets {
					if len(secret) > 3 && secret != "redacted" && strings.Contains(shown, secret) {
						t.Errorf("printed as %s", shown)
					}
				}
			}
		})
	}
	if got := (Redactor{}).Redact("as it is"); got != "as it is" {
		t.Errorf("%q", got)
	}
}

func TestClean(t *testing.T) {
	r := NewRedactor("token-value")
	for text, want := range map[string]string{
		"  bad\n\ttoken-value\u001b[2J ":    "bad [redacted] [2J",
		"right\u202eleft\u200b":             "right left",
		strings.Repeat("é", maxText):        strings.Repeat("é", maxText),
		strings.Repeat("é", maxText+1):      strings.Repeat("é", maxText) + "…",
		strings.Repeat("token-value ", 300): strings.Repeat("[redacted] ", 27) + "[re…",
	} {
		if got := r.Clean(text); got != want {
			t.Errorf("Clean(%.40q) = %q, want %q", text, got, want)
		}
	}
}
