package demo

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cwvault/sync"
	"cwvault/sync/synctest"
)

func parse(t *testing.T, text string) synctest.World {
	t.Helper()
	w, err := synctest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestMonth: what the story tells of the month is what changes in the world, and
// all of it.
func TestMonth(t *testing.T) {
	before, after := parse(t, worldText), parse(t, monthText)
	now := map[int]sync.Company{}
	for _, c := range after.Companies {
		now[c.ID] = c
	}
	names := map[string]int{} // by the name before
	for _, c := range before.Companies {
		names[c.Name] = c.ID
	}
	var renamed, swapped, deleted []string
	var won, lost int
	for _, was := range before.Companies {
		is, there := now[was.ID]
		if !there {
			deleted = append(deleted, was.Name)
			continue
		}
		delete(now, was.ID)
		if is.Name != was.Name {
			if other, ok := names[is.Name]; ok && other != was.ID {
				swapped = append(swapped, was.Name)
			} else {
				renamed = append(renamed, is.Name)
			}
		}
		if !slices.Equal(is.Types, was.Types) {
			if was.Types[0].Name != "Prospect" || is.Types[0].Name != "Customer" {
				t.Errorf("%s: types %v, were %v", was.Name, is.Types, was.Types)
			}
			won++
		}
		if is.Status.ID != was.Status.ID {
			if was.Status.Name != "Active" || is.Status.Name != "Former" {
				t.Errorf("%s: status %v, was %v", was.Name, is.Status, was.Status)
			}
			lost++
		}
		is.Name, is.Types, is.Status = was.Name, was.Types, was.Status
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("the story does not tell of (-before +after):\n%s", diff)
		}
	}
	if len(swapped) != 2 || len(deleted) != 1 || len(renamed) == 0 {
		t.Fatalf("swapped %q, deleted %q, renamed %q", swapped, deleted, renamed)
	}
	want := []string{
		fmt.Sprintf("%d new companies were added", len(now)),
		// The one that is deleted was renamed before.
		fmt.Sprintf("%d customers were renamed, such as %q", len(renamed)+1, renamed[0]),
		fmt.Sprintf("%q and %q turned out to be entered the wrong way round and swapped names", swapped[0], swapped[1]),
		fmt.Sprintf("%d prospects were won and became customers", won),
		fmt.Sprintf("%d customers were lost and set to inactive", lost),
		fmt.Sprintf("the status %s was renamed to %s", before.Statuses[1].Name, after.Statuses[1].Name),
		fmt.Sprintf("%q was deleted", deleted[0]+" International"),
	}
	if diff := cmp.Diff(want, month()); diff != "" {
		t.Errorf("(-the worlds +the story):\n%s", diff)
	}
	if !slices.Equal(before.Types, after.Types) || !slices.Equal(before.Territories, after.Territories) {
		t.Error("other tables change too")
	}
}

// TestOddNames: the demo shows each of them.
func TestOddNames(t *testing.T) {
	for i, c := range parse(t, worldText).Companies[:len(synctest.OddNames)] {
		if c.Name != synctest.OddNames[i] {
			t.Errorf("company %d is %q, want %q", c.ID, c.Name, synctest.OddNames[i])
		}
	}
}
