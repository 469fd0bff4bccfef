package demo

import (
	_ "embed"
	"strings"
)

// The demo's world before cwvault runs there, and its ConnectWise a month later.
var (
	//go:embed world.txtar
	worldText string
	//go:embed month.txtar
	monthText string
)

// month tells what happened in ConnectWise in the month: month.txtar begins with
// it.
func month() []string {
	story, _, _ := strings.Cut(monthText, "\n\n")
	return strings.Split(story, "\n")
}
