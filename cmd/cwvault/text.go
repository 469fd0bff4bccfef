package main

import (
	"fmt"
	"strings"

	"cwvault/sync"
)

// plain is [sync.Plain].
func plain(s string) string { return sync.Plain(s) }

// count writes "1 folder", "2 folders".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch {
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
