package report

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
)

// TestFindingsText: what servers say is one harmless line.
func TestFindingsText(t *testing.T) {
	var b bytes.Buffer
	if err := FindingsText(&b, []sync.Finding{
		{Subject: "vault", Text: "fine"},
		{Subject: "vault folders", Text: "list:\n\tno\x1b[31m", Fix: "look; then act", Err: errors.New("x")},
	}, false); err != nil {
		t.Fatal(err)
	}
	want := "Ok    vault          fine\nFail  vault folders  list: no\\u001b[31m; look; then act\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
