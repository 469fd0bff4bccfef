package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// helper is a command whose help ends with examples and exit codes.
type helper interface {
	// help returns lines that can be typed, and the codes that the command can
	// end with besides 0 and 1.
	help() (examples []string, codes []int)
}

// meanings are the exit codes in words, as --help has them.
var meanings = map[int]string{
	exitOK:           "done",
	exitFailed:       "failed",
	exitPending:      "changes are pending (with --detailed-exitcode)",
	exitPartial:      "some steps failed or were skipped",
	exitHeld:         "held by a guard, or the plan is not the one that was approved or saved",
	exitSource:       "a reading is not to be trusted; nothing was applied",
	exitUsage:        "wrong use",
	exitLease:        "another run has the lease",
	exitUnauthorized: "not authorised by ConnectWise or the vault",
	exitConfig:       "wrong settings",
}

// running are the codes of a command that reads both sides.
func running(more ...int) []int {
	return append(more, exitSource, exitUsage, exitUnauthorized, exitConfig)
}

// printHelp prints the help of a command, with examples and exit codes at the
// end.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil {
		return printCodes(ctx, []string{"cwvault demo", "cwvault plan --help"},
			[]int{exitPending, exitPartial, exitHeld, exitSource, exitUsage, exitLease, exitUnauthorized, exitConfig})
	}
	command, ok := node.Target.Interface().(helper)
	if !ok {
		return nil
	}
	examples, codes := command.help()
	return printCodes(ctx, examples, codes)
}

func printCodes(ctx *kong.Context, examples []string, codes []int) error {
	var b strings.Builder
	b.WriteString("\nExamples:\n")
	for _, e := range examples {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	b.WriteString("\nExit codes:\n")
	for _, code := range append([]int{exitOK, exitFailed}, codes...) {
		fmt.Fprintf(&b, "  %2d  %s\n", code, meanings[code])
	}
	_, err := fmt.Fprint(ctx.Stdout, b.String())
	return err
}
