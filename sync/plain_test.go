package sync_test

import (
	"testing"

	"cwvault/sync"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"Müller & Söhne 日本 ":        "Müller & Söhne 日本 ",
		"a\tb\nc\x00":               `a\u0009b\u000ac\u0000`,
		"\u202egnp.exe":             `\u202egnp.exe`,
		"zero\u200bwidth\ufeff":     `zero\u200bwidth\ufeff`,
		"filler\u3164braille\u2800": `filler\u3164braille\u2800`,
		"tag\U000e0041":             `tag\udb40\udc41`,
		"variation\ufe0f":           `variation\ufe0f`,
		"no\u00a0break":             `no\u00a0break`,
		"bad\xff":                   `bad\xff`,
		"\ufffd":                    "\ufffd",
		"<b>":                       "<b>", // the business of who writes HTML
	} {
		if got := sync.Plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPlainJSON(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain \u00e4\n":           "plain \u00e4\n",
		"\x1b[31m\u202e\u200b":     `\u001b[31m\u202e\u200b`,
		"\U000e0041":               `\udb40\udc41`,
		"\u00a0\u2028\ufeff\t\x00": `\u00a0\u2028\ufeff\u0009\u0000`,
	} {
		if got := string(sync.PlainJSON([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
