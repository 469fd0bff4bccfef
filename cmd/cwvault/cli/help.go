package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// helper is a command whose help ends with examples and exit codes.
type helper interface {
	// help returns command lines to try, and the exit codes that the command may
	// return besides 0 and 1.
	help() (examples []string, codes []int)
}

// meanings are the exit codes in words.
var meanings = map[int]string{
	exitOK:           "done",
	exitFailed:       "failed",
	exitPending:      "changes are pending (with --detailed-exitcode)",
	exitPartial:      "some steps failed or were skipped",
	exitHeld:         "a guard holds something, or the saved or approved plan no longer matches",
	exitSource:       "the data read cannot be trusted; nothing was applied",
	exitUsage:        "wrong command line",
	exitLease:        "another run is in progress",
	exitUnauthorized: "not authorised by ConnectWise or the vault",
	exitConfig:       "wrong settings",
}

// running returns the codes of a command that reads both sides.
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
	for _, code := range slices.Sorted(slices.Values(append([]int{exitOK, exitFailed}, codes...))) {
		fmt.Fprintf(&b, "  %2d  %s\n", code, meanings[code])
	}
	_, err := fmt.Fprint(ctx.Stdout, b.String())
	return err
}
