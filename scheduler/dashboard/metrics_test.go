package dashboard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"cwvault/sync"
	"cwvault/sync/report"
)

// scrape returns what /metrics says, but for what the Go runtime, the process
// and histograms' buckets say.
func scrape(t *testing.T, h *handler) []string {
	t.Helper()
	w := do(h, "GET", "/metrics", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	problems, err := promlint.New(strings.NewReader(w.Body.String())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	for _, want := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if h.Metrics != nil && !strings.Contains(w.Body.String(), "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "cwvault_") && !strings.Contains(line, "_bucket{") && !strings.HasPrefix(line, "cwvault_build_info") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// nonZero leaves out what is 0.
func nonZero(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasSuffix(line, " 0") })
}

func TestMetrics(t *testing.T) {
	f := newFake(t)
	h := newHandler(local(f), quick())
	h.Metrics.RunEnded("done", 1500*time.Millisecond)
	h.Metrics.RunEnded("failed", 20*time.Second)
	h.Metrics.StepEnded(sync.OpMove, "done")
	h.Metrics.StepEnded(sync.OpMove, "done")
	h.Metrics.StepEnded(sync.OpCreate, "failed")
	h.Metrics.RequestSent("connectwise", false)
	h.Metrics.RequestSent("connectwise", true)
	h.Metrics.RequestSent("vault", false)
	h.Metrics.CallbackTaken("forged")
	f.state.VaultServer.Error = "refused"

	want := []string{
		`cwvault_callbacks_total{result="forged"} 1`,
		`cwvault_companies 3`,
		`cwvault_departed 1`,
		`cwvault_held{code="guard-moves"} 1`,
		`cwvault_held{code="no-type"} 1`,
		`cwvault_last_attempt_timestamp_seconds 1.7953482e+09`,
		`cwvault_last_success_timestamp_seconds 1.7953464e+09`,
		`cwvault_lease 1`,
		`cwvault_managed_folders 49`,
		`cwvault_next_run_timestamp_seconds 1.79535e+09`,
		`cwvault_pending_steps{op="create"} 1`,
		`cwvault_pending_steps{op="move"} 1`,
		`cwvault_request_retries_total{server="connectwise"} 1`,
		`cwvault_requests_total{server="connectwise"} 2`,
		`cwvault_requests_total{server="vault"} 1`,
		`cwvault_run_duration_seconds_count{outcome="done"} 1`,
		`cwvault_run_duration_seconds_count{outcome="failed"} 1`,
		`cwvault_run_duration_seconds_sum{outcome="done"} 1.5`,
		`cwvault_run_duration_seconds_sum{outcome="failed"} 20`,
		`cwvault_scheduler_missed_runs_total 3`,
		`cwvault_server_up{server="connectwise"} 1`,
		`cwvault_staleness_seconds 2400`,
		`cwvault_steps_total{op="create",status="failed"} 1`,
		`cwvault_steps_total{op="move",status="done"} 2`,
	}
	got := scrape(t, h)
	sorted := slices.Sorted(slices.Values(nonZero(got)))
	if diff := cmp.Diff(want, sorted); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// What has not happened is there as 0, so that rules that look at it work.
	for _, zero := range []string{
		`cwvault_in_step 0`, `cwvault_stale 0`, `cwvault_running 0`, `cwvault_server_up{server="vault"} 0`,
		`cwvault_held{code="settling"} 0`, `cwvault_pending_steps{op="archive"} 0`, `cwvault_steps_total{op="adopt",status="skipped"} 0`,
		`cwvault_request_retries_total{server="vault"} 0`, `cwvault_run_duration_seconds_count{outcome="partial"} 0`,
	} {
		if !slices.Contains(got, zero) {
			t.Errorf("no %s", zero)
		}
	}
	if w := do(h, "GET", "/metrics", ""); !strings.Contains(w.Body.String(), `version="1.2.3"`) {
		t.Error("the version is not told")
	}
}

func TestMetricsBeforeTheFirstRun(t *testing.T) {
	opt := local(&fakeService{state: State{Now: noon}})
	opt.Metrics = nil
	h := newHandler(opt, quick())
	want := []string{
		`cwvault_in_step 0`,
		`cwvault_last_attempt_timestamp_seconds 0`,
		`cwvault_last_success_timestamp_seconds 0`,
		`cwvault_lease 1`,
		`cwvault_next_run_timestamp_seconds 0`,
		`cwvault_running 0`,
		`cwvault_scheduler_missed_runs_total 0`,
		`cwvault_stale 1`,
		`cwvault_staleness_seconds +Inf`,
	}
	if diff := cmp.Diff(want, scrape(t, h)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMetricsInStep(t *testing.T) {
	f := newFake(t)
	f.state.NotInStep = time.Time{}
	f.state.Scheduler.Running.Start = noon
	f.state.Lease = "elsewhere"
	got := scrape(t, newHandler(local(f), quick()))
	for _, want := range []string{`cwvault_in_step 1`, `cwvault_running 1`, `cwvault_lease 0`} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestNoMetrics: a nil *Metrics can be told everything.
func TestNoMetrics(t *testing.T) {
	var m *Metrics
	m.RunEnded("done", time.Second)
	m.StepEnded(sync.OpMove, "done")
	m.RequestSent("vault", true)
	m.CallbackTaken("taken")
}

// TestHoldCodesAreExplained: each code of the core has its words.
func TestHoldCodesAreExplained(t *testing.T) {
	codes := sync.HoldCodes()
	if len(codes) < 20 {
		t.Errorf("only %d codes", len(codes))
	}
	for _, code := range codes {
		if h := report.HoldOf(code); h.Title == "" || h.Means == "" || h.Fix == "" || strings.HasPrefix(h.Title, "held: ") {
			t.Errorf("%s: %+v", code, h)
		}
	}
}
