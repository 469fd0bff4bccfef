package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

const exitCodes = `Exit codes:
  0   stopped by SIGINT or SIGTERM
  1   it cannot serve, for example because the address is in use
  64  the command line, the world or the faults are wrong
`

const topExample = `  cwsim connectwise >cw.out &
  cwsim secretserver >ss.out &
  grep -h ^CWVAULT_ cw.out ss.out >env    # when both files end with "ready"
  cwvault --env-file env plan
`

// printHelp prints what kong makes of the command line, then examples and exit
// codes.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	name, faults, example := "", "", topExample
	if node := ctx.Selected(); node != nil {
		name = node.Name
	}
	switch name {
	case "connectwise":
		faults = faultsHelp(connectwiseFaults, "skip=N: lets N requests pass first",
			"path=/company/companies: requests whose path ends so")
	case "secretserver":
		faults = faultsHelp(secretserverFaults(nil), "every=N: each Nth request only",
			"path=/api/v1/folders/*: requests with such a path below the base")
	}
	if name != "" {
		example = "  cwsim " + name + " --world world.txt --listen 127.0.0.1:8080\n"
	}
	_, err := fmt.Fprintf(ctx.Stdout, "%s\nExample:\n%s\n%s", faults, example, exitCodes)
	return err
}

// faultsHelp says what may stand in a file of faults.
func faultsHelp[F any](words []faultWord[F], more, path string) string {
	var b strings.Builder
	b.WriteString("\nFaults, one a line, each with its argument and then when it strikes:\n")
	for _, w := range words {
		fmt.Fprintf(&b, "  %-28s %s\n", strings.TrimSpace(w.name+" "+w.argument), w.means)
	}
	fmt.Fprintf(&b, "When:\n  method=GET: requests with this method\n  %s\n  %s\n  times=N: N times and then no more\n", path, more)
	return b.String()
}
