package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cwvault/scheduler/api"
	"cwvault/sync/report"
)

// patient are limits that never run out in a test, so that those which a test
// is about are the only ones that do.
func patient() limits {
	lim := quick()
	lim.header, lim.body, lim.write, lim.idle, lim.work, lim.shutdown = time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour
	return lim
}

// listen serves h on a free port until the test ends or stop is called, which
// returns what serve does. When it has ended, nothing of it may go on.
func listen(t *testing.T, h *handler) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := serving()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, l, h) }()
	stop = gosync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			wait(t, "all goroutines of the server to end", func() bool { return serving() <= before })
			return err
		case <-time.After(time.Minute):
			return errors.New("serve does not end")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), stop
}

// serving counts the goroutines that serve.
func serving() int {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "net/http.(*conn)") || strings.Contains(stack, "net/http.(*Server)") ||
			strings.Contains(stack, "net/http.(*connReader)") || strings.Contains(stack, "dashboard.serve(") {
			n++
		}
	}
	return n
}

// dial opens a connection that ends with the test.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// say opens a connection, sends text and returns the answer to a request.
func say(t *testing.T, addr, text string) *http.Response {
	t.Helper()
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return answerTo(t, conn)
}

func answerTo(t *testing.T, conn net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// ended reports whether the server has closed a connection.
func ended(t *testing.T, conn net.Conn) bool {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

func healthy(t *testing.T, addr string) {
	t.Helper()
	resp := say(t, addr, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if resp.StatusCode != 200 {
		t.Errorf("/healthz: %s", resp.Status)
	}
}

func TestServe(t *testing.T) {
	f := newFake(t)
	f.asked["r0"] = api.Asked{ID: "r0", State: api.Over}
	addr, stop := listen(t, newHandler(local(f), patient()))
	resp, err := http.Get("http://" + addr + "/api/resync/r0")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || string(body) != "{\"request\":\"r0\",\"state\":\"over\",\"exitCode\":0}\n" {
		t.Errorf("%s %q %v", resp.Status, body, err)
	}
	if resp.Header.Get("Content-Security-Policy") != contentPolicy {
		t.Errorf("header: %v", resp.Header)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServeExported(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, local(newFake(t))) }()
	healthy(t, l.Addr().String())
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestListenerFails: the service must not go on unseen.
func TestListenerFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(t.Context(), l, newHandler(local(newFake(t)), patient())) }()
	healthy(t, l.Addr().String())
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestRawRequests are requests that clients do not make but attackers do.
func TestRawRequests(t *testing.T) {
	const get, host = "GET /healthz HTTP/1.1\r\n", "Host: localhost\r\n"
	tests := map[string]struct {
		text   string
		status int
	}{
		"a simple one":              {get + host + "\r\n", 200},
		"no host":                   {get + "\r\n", 400},
		"two hosts":                 {get + host + "Host: evil.example.com\r\n\r\n", 400},
		"a host that is none":       {get + "Host: a b\r\n\r\n", 400},
		"another host in the line":  {"GET http://evil.example.com/api/plan HTTP/1.1\r\n" + host + "\r\n", 401},
		"this host in the line":     {"GET http://localhost/api/plan HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 200},
		"HTTP/1.0":                  {"GET /healthz HTTP/1.0\r\n\r\n", 200},
		"HTTP/1.0 for what is read": {"GET /api/plan HTTP/1.0\r\n" + host + "\r\n", 401},
		"two slashes":               {"GET //healthz HTTP/1.1\r\n" + host + "\r\n", 404},
		"dots":                      {"GET /api/../healthz HTTP/1.1\r\n" + host + "\r\n", 404},
		"hidden dots":               {"GET /api/%2e%2e/healthz HTTP/1.1\r\n" + host + "\r\n", 404},
		"all options":               {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 404},
		"a tunnel":                  {"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n\r\n", 404},
		"a large header":            {get + host + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		"many headers":              {get + host + strings.Repeat("X: x\r\n", 64<<10/6) + "\r\n", 431},
		"a long path":               {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\n" + host + "\r\n", 431},
		"a body in two ways":        {"POST /api/resync HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 401},
		"two lengths":               {"POST /api/resync HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
		"a header split":            {get + host + "X: a\r\n b\r\n\r\n", 200},
		"a space before the colon":  {get + host + "X-Forwarded-For : a\r\n\r\n", 400},
		"HTTP/2":                    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		"an early end":              {"BYE\r\n\r\n", 400},
		"a giant body, no token":    {"POST /api/resync HTTP/1.1\r\n" + host + "Content-Length: 1000000000000\r\n\r\n", 401},
		"a giant body, a token":     {"POST /api/resync HTTP/1.1\r\n" + host + "Authorization: Bearer " + rightToken + "\r\nContent-Length: 1000000000000\r\n\r\n", 413},
		"a giant form":              {"POST /api/resync HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000000000\r\n\r\n", 413},
		"a giant callback":          {"POST /api/connectwise/callback HTTP/1.1\r\n" + host + "X-Content-Signature: c2ln\r\nContent-Length: 1000000000000\r\n\r\n", 413},
		"a giant one, if it may":    {"POST /api/connectwise/callback HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nX-Content-Signature: c2ln\r\nContent-Length: 1000000000000\r\n\r\n", 413},
		"a chunk that is none":      {"POST /api/connectwise/callback HTTP/1.1\r\n" + host + "X-Content-Signature: c2ln\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 408},
	}
	addr, _ := listen(t, newHandler(local(newFake(t)), patient()))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			resp := say(t, addr, test.text)
			if resp.StatusCode != test.status {
				t.Errorf("%s, want %d", resp.Status, test.status)
			}
			if location := resp.Header.Get("Location"); location != "" {
				t.Errorf("sent to %s", location)
			}
		})
	}
	healthy(t, addr)
}

// TestEndlessBody: a body without an end is not read further than it may be.
func TestEndlessBody(t *testing.T) {
	for path, limit := range map[string]int{"/api/resync": maxResync, "/api/connectwise/callback": maxCallback} {
		f := newFake(t)
		addr, _ := listen(t, newHandler(local(f), patient()))
		conn := dial(t, addr)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nX-Content-Signature: c2ln\r\nTransfer-Encoding: chunked\r\n\r\n", path, rightToken)
		go func() {
			chunk := "1000\r\n" + strings.Repeat(" ", 4096) + "\r\n"
			for {
				if _, err := io.WriteString(conn, chunk); err != nil {
					return
				}
			}
		}()
		resp := answerTo(t, conn)
		if resp.StatusCode != 413 || !resp.Close {
			t.Errorf("%s: %s, and the connection is kept: %v", path, resp.Status, !resp.Close)
		}
		if n := len(f.requests()) + len(f.deliveries()); n > 0 {
			t.Errorf("%s: more than %d bytes were handed on", path, limit)
		}
		wait(t, "the connection to be closed", func() bool { return ended(t, conn) })
	}
}

// TestSlowHeader: who does not say what they want is not waited for.
func TestSlowHeader(t *testing.T) {
	lim := patient()
	lim.header = time.Second
	addr, _ := listen(t, newHandler(local(newFake(t)), lim))
	silent, slow := dial(t, addr), dial(t, addr)
	io.WriteString(slow, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
	wait(t, "both to be closed", func() bool {
		io.WriteString(slow, "x") // one byte and another does not buy time
		return ended(t, silent) && ended(t, slow)
	})
	healthy(t, addr)
}

// TestSlowBody: a body that does not come ends by itself, whoever sends it.
func TestSlowBody(t *testing.T) {
	for name, head := range map[string]string{
		"callback":     "POST /api/connectwise/callback HTTP/1.1\r\nX-Content-Signature: c2ln\r\n",
		"form":         "POST /api/resync HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
		"resync":       "POST /api/resync HTTP/1.1\r\nAuthorization: Bearer " + rightToken + "\r\n",
		"no token":     "POST /api/resync HTTP/1.1\r\n",
		"health":       "GET /healthz HTTP/1.1\r\n",
		"no such page": "POST /nothing HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			lim := patient()
			lim.body = 100 * time.Millisecond
			addr, _ := listen(t, newHandler(local(f), lim))
			conn := dial(t, addr)
			io.WriteString(conn, head+"Host: localhost\r\nContent-Length: 1000\r\n\r\n{")
			want := map[string]int{"callback": 408, "form": 408, "resync": 408, "no token": 401, "health": 200, "no such page": 404}[name]
			if resp := answerTo(t, conn); resp.StatusCode != want {
				t.Errorf("%s, want %d", resp.Status, want)
			}
			wait(t, "the connection to be closed", func() bool { return ended(t, conn) })
			if n := len(f.requests()) + len(f.deliveries()); n > 0 {
				t.Error("half a body was handed on")
			}
		})
	}
}

// TestTimeForTheAnswer: what is left of the time for the body is not all that
// there is for the answer.
func TestTimeForTheAnswer(t *testing.T) {
	f := newFake(t)
	lim := patient()
	lim.body = 200 * time.Millisecond
	var end error
	f.callback = func(ctx context.Context) {
		select {
		case <-ctx.Done():
			end = ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	addr, _ := listen(t, newHandler(local(f), lim))
	resp := say(t, addr, "POST /api/connectwise/callback HTTP/1.1\r\nHost: localhost\r\nX-Content-Signature: c2ln\r\nContent-Length: 2\r\n\r\n{}")
	if resp.StatusCode != 204 || end != nil {
		t.Errorf("%s, ended early: %v", resp.Status, end)
	}
}

// TestFewStrangers: bodies of those who have shown nothing yet are read few at
// a time, and those who have are not concerned.
func TestFewStrangers(t *testing.T) {
	lim := patient()
	lim.strangers = 2
	h := newHandler(local(newFake(t)), lim)
	addr, _ := listen(t, h)
	var slow []net.Conn
	for range lim.strangers {
		conn := dial(t, addr)
		io.WriteString(conn, "POST /api/connectwise/callback HTTP/1.1\r\nHost: localhost\r\nX-Content-Signature: c2ln\r\nContent-Length: 1\r\n\r\n")
		slow = append(slow, conn)
	}
	wait(t, "their bodies to be waited for", func() bool { return len(h.strangers) == lim.strangers })
	const host = " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
	for text, status := range map[string]int{
		"POST /api/connectwise/callback" + host + "X-Content-Signature: c2ln\r\n\r\nx":                  429,
		"POST /api/resync" + host + "Content-Type: application/x-www-form-urlencoded\r\n\r\nx":          429,
		"POST /api/resync" + host + "Authorization: Bearer " + rightToken + "\r\n\r\n ":                 202,
		"GET /api/plan HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n":              401,
		"GET /api/plan HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + rightToken + "\r\n\r\n": 200,
	} {
		if resp := say(t, addr, text); resp.StatusCode != status {
			t.Errorf("%q: %s, want %d", text, resp.Status, status)
		}
	}
	for _, conn := range slow {
		io.WriteString(conn, "x")
		if resp := answerTo(t, conn); resp.StatusCode != 204 {
			t.Errorf("those who were first: %s", resp.Status)
		}
	}
}

// TestCrowd: however many connections wait, requests are answered, and no more
// than so many are open.
func TestCrowd(t *testing.T) {
	lim := patient()
	lim.conns = 8
	addr, _ := listen(t, newHandler(local(newFake(t)), lim))
	var waiting []net.Conn
	for i := range 10 * lim.conns {
		conn := dial(t, addr)
		switch i % 3 {
		case 1:
			io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		case 2: // keeps its connection after a request
			io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		waiting = append(waiting, conn)
		healthy(t, addr)
	}
	open := func() int {
		n := 0
		for _, conn := range waiting {
			if !ended(t, conn) {
				n++
			}
		}
		return n
	}
	wait(t, "connections to be closed", func() bool { return open() <= lim.conns })
	if n := open(); n == 0 {
		t.Error("none is left: they are closed though there is room")
	}
	if ended(t, waiting[len(waiting)-1]) {
		t.Error("the newest was closed")
	}
}

// TestCrowdOfSlowBodies: not even connections with a request under way can keep
// others out.
func TestCrowdOfSlowBodies(t *testing.T) {
	lim := patient()
	lim.conns = 8
	h := newHandler(local(newFake(t)), lim)
	addr, _ := listen(t, h)
	for range 4 * lim.conns {
		io.WriteString(dial(t, addr), "POST /api/connectwise/callback HTTP/1.1\r\nHost: localhost\r\nX-Content-Signature: c2ln\r\nContent-Length: 9\r\n\r\n")
	}
	for range 20 {
		healthy(t, addr)
	}
}

// TestCrowdChoosesTheSlow: it is those who wait, the longest first, and only
// without any of them those who are served.
func TestCrowdChoosesTheSlow(t *testing.T) {
	synctest.Test(t, crowdChoosesTheSlow)
}

func crowdChoosesTheSlow(t *testing.T) {
	for range 20 { // the order in which a map is looked through must not matter
		c := &crowd{limit: 3, since: map[net.Conn]time.Time{}, active: map[net.Conn]bool{}}
		closed := map[string]bool{}
		conn := func(name string) net.Conn { return &namedConn{name: name, closed: closed} }
		a, b, d, j := conn("a"), conn("b"), conn("d"), conn("j")
		for i, step := range []struct {
			conn   net.Conn
			state  http.ConnState
			closed string // by this
		}{
			{a, http.StateNew, ""}, {a, http.StateActive, ""}, {b, http.StateNew, ""}, {d, http.StateNew, ""},
			{conn("e"), http.StateNew, "b"}, // a is older, but at work
			{b, http.StateActive, ""},       // what the server still says of b changes nothing
			{b, http.StateClosed, ""},
			{a, http.StateIdle, ""},
			{conn("f"), http.StateNew, "d"},
			{conn("g"), http.StateNew, "e"},
			{conn("h"), http.StateNew, "a"},
			{conn("i"), http.StateNew, "f"},
			{j, http.StateNew, "g"},
			{j, http.StateActive, ""},
			{conn("k"), http.StateNew, "h"}, {conn("l"), http.StateNew, "i"}, {conn("m"), http.StateNew, "k"},
		} {
			clear(closed)
			c.changed(step.conn, step.state)
			if len(closed) > 1 || (step.closed != "") != (len(closed) == 1) || step.closed != "" && !closed[step.closed] {
				t.Fatalf("step %d: closed %v, want %q", i, closed, step.closed)
			}
			if len(c.since) > c.limit || len(c.active) != len(c.since) {
				t.Fatalf("step %d: %d open, %d known", i, len(c.since), len(c.active))
			}
			time.Sleep(time.Millisecond) // so that the clock tells them apart
		}
		for conn := range c.since {
			c.changed(conn, http.StateActive)
		}
		c.changed(conn("n"), http.StateNew)
		if len(c.since) != c.limit || len(closed) != 2 {
			t.Fatalf("connections at work are closed as well if there is nothing else: %v", closed)
		}
		// At the end of the service those in reserve go at once, and only they.
		clear(closed)
		c.changed(conn("reserve"), http.StateNew)
		clear(closed)
		c.closeWaiting()
		if len(closed) != 1 || !closed["reserve"] {
			t.Fatalf("closed at the end: %v", closed)
		}
	}
}

type namedConn struct {
	net.Conn
	name   string
	closed map[string]bool
}

func (c *namedConn) Close() error { c.closed[c.name] = true; return nil }

// TestShutdownWaits: what is under way when the service is to end is answered,
// and connections that wait for nothing are not waited for.
func TestShutdownWaits(t *testing.T) {
	h := newHandler(local(newFake(t)), patient())
	going, release := make(chan struct{}), make(chan struct{})
	h.mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		close(going)
		<-release
		w.WriteHeader(204)
	})
	addr, stop := listen(t, h)
	reserve := dial(t, addr)
	healthy(t, addr) // the server knows the one before
	conn := dial(t, addr)
	io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-going
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	wait(t, "the one in reserve to be closed", func() bool { return ended(t, reserve) })
	select {
	case err := <-stopped:
		t.Fatalf("ended while a request was under way: %v", err)
	default:
	}
	close(release)
	if resp := answerTo(t, conn); resp.StatusCode != 204 {
		t.Errorf("%s", resp.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownEnds: what does not end in time is cut off.
func TestShutdownEnds(t *testing.T) {
	lim := patient()
	lim.shutdown = 50 * time.Millisecond
	h := newHandler(local(newFake(t)), lim)
	going := make(chan struct{})
	h.mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) {
		close(going)
		<-r.Context().Done()
	})
	addr, stop := listen(t, h)
	io.WriteString(dial(t, addr), "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
	io.WriteString(dial(t, addr), "POST /api/connectwise/callback HTTP/1.1\r\nHost: localhost\r\nX-Content-Signature: c2ln\r\nContent-Length: 9\r\n\r\n")
	<-going
	wait(t, "the body to be waited for", func() bool { return len(h.strangers) == 1 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestManyRequests: many requests while runs go on, without an error. With
// CWVAULT_TEST_MEASURE=1 they are ten thousand, and leave nothing in memory.
func TestManyRequests(t *testing.T) {
	h, look := crowdedHandler(t)
	addr, _ := listen(t, h)
	var targets []string
	for _, e := range endpoints {
		if e.method == "GET" {
			targets = append(targets, e.target)
		}
	}
	// How much memory is in use depends on what else the machine does, so only
	// a machine that is there to measure judges it.
	measure := os.Getenv("CWVAULT_TEST_MEASURE") == "1"
	requests := 500
	if measure {
		requests = 10_000
	}
	const clients = 8
	transport := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	get := func(target string) (time.Duration, error) { return timedGet(client, "http://"+addr+target) }
	for _, target := range targets { // what is made once is not a leak
		if _, err := get(target); err != nil {
			t.Fatal(err)
		}
	}
	heap := heapInUse()

	stop := runsGoOn(h, look)
	var next atomic.Int64
	took := make([]time.Duration, requests)
	var all gosync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < requests; i = int(next.Add(1)) - 1 {
				var err error
				if took[i], err = get(targets[i%len(targets)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	stop()
	slices.Sort(took)
	t.Logf("%d requests by %d clients: p50 %v, p99 %v, slowest %v", requests, clients, took[requests/2], took[requests*99/100], took[requests-1])
	if after := heapInUse(); measure && after > heap+16<<20 {
		t.Errorf("the heap grew from %d to %d KB", heap>>10, after>>10)
	}
}

// timedGet returns how long a whole answer took.
func timedGet(client *http.Client, url string) (time.Duration, error) {
	began := time.Now()
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != 200 || n == 0 {
		return 0, fmt.Errorf("%s: %s, %d bytes, %v", url, resp.Status, n, err)
	}
	return time.Since(began), nil
}

// crowdedHandler serves ten thousand companies.
func crowdedHandler(t *testing.T) (*handler, Look) {
	f := newFake(t)
	f.asked["r0"] = api.Asked{ID: "r0", State: api.Over}
	look := *f.state.Look
	look.Companies = make([]report.Company, 10_000)
	for i := range look.Companies {
		name := fmt.Sprintf("Company No. %d", i)
		look.Companies[i] = report.Company{ID: i + 1, Identifier: fmt.Sprintf("company%d", i), Name: name, Path: `\Clients\Customer\Active\` + name, FolderID: "1"}
	}
	look.Companies[249].Identifier = "alovet"
	f.state.Look = &look
	return newHandler(local(f), defaultLimits), look
}

// runsGoOn makes one run after the other until stop is called.
func runsGoOn(h *handler, look Look) (stop func()) {
	over := make(chan struct{})
	var runs gosync.WaitGroup
	runs.Go(func() {
		for n := int64(13); ; n++ {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
			next := look
			next.Run = n
			h.Service.(*fakeService).set(func(s *State) { s.Look, s.LastRun, s.LastGood = &next, n, s.Now })
			h.Metrics.RunEnded(report.Done, time.Second)
		}
	})
	return func() { close(over); runs.Wait() }
}

// heapInUse returns the bytes that are not garbage.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
