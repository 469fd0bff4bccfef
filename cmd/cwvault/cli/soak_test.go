package cli

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	gosync "sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cwvault/scheduler/api"
)

// measuring reports whether time and memory are judged. A machine that has other
// things to do at the same time proves nothing, so .ci/run asks for this in a
// step of its own.
func measuring() bool { return os.Getenv("CWVAULT_TEST_MEASURE") == "1" }

// TestServiceSoak reads the pages and the API while run follows run. No request
// fails. Where it is measured there are ten thousand requests, and nothing is
// left over afterwards.
func TestServiceSoak(t *testing.T) {
	requests, companies := 200, 50
	if measuring() {
		requests, companies = 10_000, 500
	}
	site := newSite(t)
	for i := range companies {
		site.world.add(100+i, fmt.Sprintf("Company %03d", i), "Customer", "Active")
	}
	s := serveHere(t, site.env, "CWVAULT_MAX_MOVES=off", "CWVAULT_MAX_RENAMES=off", "CWVAULT_LOG_LEVEL=error")
	s.over(s.ask(api.Request{}))

	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	paths := []string{"/", "/?q=Company+12", "/companies/123", "/runs/1", "/api/runs", "/api/runs/1", "/api/plan", "/api/companies?q=42",
		"/api/companies/142", "/metrics", "/healthz", "/readyz"}
	get := func(path string) error {
		resp, err := client.Get(s.base + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != http.StatusOK || len(b) == 0) {
			err = fmt.Errorf("%s: %s", path, resp.Status)
		}
		return err
	}
	for _, path := range paths {
		if err := get(path); err != nil {
			t.Fatal(err)
		}
	}
	settle := func() (goroutines int, heap uint64) {
		transport.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		var m runtime.MemStats
		for range 3 {
			time.Sleep(200 * time.Millisecond) // connections close on both sides
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	var goroutines int
	var heap uint64
	if measuring() {
		goroutines, heap = settle()
	}

	var next, failed atomic.Int64
	took := make([]time.Duration, requests)
	var readers gosync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= requests {
					return
				}
				began := time.Now()
				if err := get(paths[i%len(paths)]); err != nil {
					if failed.Add(1) < 10 {
						t.Error(err)
					}
				}
				took[i] = time.Since(began)
			}
		})
	}
	done := make(chan struct{})
	go func() { readers.Wait(); close(done) }()
	runs := 0
	for reading := true; reading; runs++ {
		for i := range 20 {
			n := (runs*20 + i) % companies
			site.world.Rename(100+n, fmt.Sprintf("Company %03d of run %d", n, runs))
		}
		if asked := s.over(s.ask(api.Request{})); asked.ExitCode != exitOK {
			t.Errorf("run %d: %+v", runs, asked)
		}
		select {
		case <-done:
			reading = false
		default:
		}
	}
	slices.Sort(took)
	t.Logf("%d requests during %d runs: %d failed; median %v, p99 %v, longest %v", requests, runs, failed.Load(),
		took[requests/2].Round(10*time.Microsecond), took[requests*99/100].Round(10*time.Microsecond), took[requests-1].Round(10*time.Microsecond))
	if !measuring() {
		return
	}
	if runs < 3 {
		t.Errorf("only %d runs meanwhile", runs)
	}
	goroutinesAfter, heapAfter := settle()
	t.Logf("goroutines %d, before %d; heap %d KiB, before %d KiB", goroutinesAfter, goroutines, heapAfter>>10, heap>>10)
	if goroutinesAfter > goroutines+5 {
		t.Errorf("%d goroutines, before %d", goroutinesAfter, goroutines)
	}
	if heapAfter > heap+8<<20 {
		t.Errorf("%d KiB of heap, before %d", heapAfter>>10, heap>>10)
	}
}

// TestServiceMemory measures what an idle service with 10,000 companies takes:
// the goal is less than 40 MiB. The program is this test, which has some more in
// it than cwvault itself.
func TestServiceMemory(t *testing.T) {
	if runtime.GOOS != "linux" || raceEnabled || !measuring() {
		t.Skip("measures memory; .ci/run runs it with CWVAULT_TEST_MEASURE=1, without the race detector")
	}
	const companies = 10_000
	site := newVaultSite(t)
	for i := range companies {
		site.world.add(100+i, fmt.Sprintf("Company %05d of Somewhere", i), "Customer", "Active")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(site.env, "CWVAULT_LISTEN="+address, "CWVAULT_SCHEDULE=@every 1h", "CWVAULT_LOG_LEVEL=warn")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, &out)
		}
	}()
	status := func(name string) (kib int) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b); m != nil {
			kib, _ = strconv.Atoi(string(m[1]))
		}
		return kib
	}
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the first run never ends\n%s", &out)
		}
	}
	for _, path := range []string{"/", "/?q=Company", "/api/plan", "/api/runs/1"} {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || len(b) == 0 {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
		resp.Body.Close()
	}
	least := status("VmRSS")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		least = min(least, status("VmRSS")) // memory is given back after seconds
	}
	t.Logf("idle with %d companies: %d MiB (of these %d MiB are the program's own pages); at most it took %d MiB", companies, least>>10, status("RssFile")>>10, status("VmHWM")>>10)
	if least > 40<<10 {
		t.Errorf("%d KiB", least)
	}
}
