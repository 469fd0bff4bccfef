package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"cwvault/sync"
)

// child is the other process. It speaks in lines on standard output and ends
// with its standard input.
func child(role string, args []string) {
	ctx := context.Background()
	die := func(err error) {
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	if role != "hold" { // which reads it
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1) // the parent is gone
		}()
	}
	switch role {
	case "hold": // state
		j, l := childHold(args[0], die)
		run, err := j.StartRun(ctx, Run{Trigger: "child"})
		die(err)
		fmt.Println("held", l.fence)
		in := bufio.NewScanner(os.Stdin)
		for seq := 0; in.Scan(); seq++ { // each line asks for a step
			err := j.Begin(ctx, run, seq, StepRecord{Op: "move", Key: "company/1"})
			fmt.Println("begin", err == nil, errors.Is(err, ErrLost))
		}
		die(j.Close())
		fmt.Println("closed")

	case "open": // state
		j, err := Open(ctx, args[0], Options{})
		fmt.Println(err)
		if err == nil {
			die(j.Close())
		}

	case "contend": // state, marker, rounds
		j, err := Open(ctx, args[0], Options{})
		die(err)
		rounds, err := strconv.Atoi(args[2])
		die(err)
		for won := 0; won < rounds; {
			l, err := j.Acquire(ctx, Self())
			if errors.Is(err, ErrHeld) {
				time.Sleep(time.Millisecond)
				continue
			}
			die(err)
			f, err := os.OpenFile(args[1], os.O_CREATE|os.O_EXCL, 0o600) // fails if somebody else is in here
			die(err)
			die(f.Close())
			die(l.Check(ctx))
			fmt.Println("fence", l.fence)
			die(os.Remove(args[1]))
			die(l.Release(ctx))
			won++
		}
		die(j.Close())

	case "steps": // state
		j, _ := childHold(args[0], die)
		run, err := j.StartRun(ctx, Run{Trigger: "child"})
		die(err)
		fmt.Println("run", run)
		var all gosync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				for seq := w; ; seq += 8 {
					die(j.Begin(ctx, run, seq, StepRecord{Op: "create", Key: sync.CompanyKey(seq + 1), Parent: "7", Name: fmt.Sprint("n", seq)}))
					fmt.Println("begun", seq)
					die(j.End(ctx, run, seq, "done", fmt.Sprint("f", seq), ""))
					fmt.Println("ended", seq)
				}
			})
		}
		all.Wait()
	}
}

func childHold(state string, die func(error)) (*Journal, *Lease) {
	// It does not renew by itself, so that it is never stopped in the middle of a transaction.
	j, err := Open(context.Background(), state, Options{LeaseRenewal: time.Hour})
	die(err)
	l, err := j.Acquire(context.Background(), Self())
	die(err)
	return j, l
}

// process is a child as its parent sees it.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startChild(t testing.TB, role string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	ok(t, err)
	return startProcess(t, exec.Command(exe, args...), role)
}

func startProcess(t testing.TB, cmd *exec.Cmd, role string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	p.cmd.Env = append(os.Environ(), childEnv+"="+role)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	ok(t, err)
	p.out = bufio.NewScanner(out)
	p.in, err = p.cmd.StdinPipe()
	ok(t, err)
	ok(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// line returns the child's next line, which must begin with prefix, without it.
func (p *process) line(prefix string) string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("child ended where %q was due", prefix)
	}
	rest, found := strings.CutPrefix(p.out.Text(), prefix)
	if !found {
		p.t.Fatalf("child says %q where %q was due", p.out.Text(), prefix)
	}
	return strings.TrimSpace(rest)
}
