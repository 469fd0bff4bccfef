package cli

import (
	"context"
	"io"
)

// cwvault is [Run] for tests that need no more of a process than this.
func cwvault(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return Run(ctx, Process{Args: args, Environ: environ, Stdout: stdout, Stderr: stderr})
}
