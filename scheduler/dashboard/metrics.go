package dashboard

import (
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cwvault/sync"
	"cwvault/sync/report"
)

// Metrics counts events for Prometheus. A nil *Metrics counts nothing.
type Metrics struct {
	registry  *prometheus.Registry
	runs      *prometheus.HistogramVec
	steps     *prometheus.CounterVec
	requests  *prometheus.CounterVec
	retries   *prometheus.CounterVec
	callbacks *prometheus.CounterVec
}

// NewMetrics returns the metrics of a service of this version, of its process and of
// the Go runtime.
func NewMetrics(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		runs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cwvault_run_duration_seconds", Help: "How long runs took, by outcome.",
			Buckets: []float64{0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600},
		}, []string{"outcome"}),
		steps:     counter("cwvault_steps_total", "Steps that ended, by operation and result.", "op", "status"),
		requests:  counter("cwvault_requests_total", "Requests sent, retries included.", "server"),
		retries:   counter("cwvault_request_retries_total", "Retries of failed requests.", "server"),
		callbacks: counter("cwvault_callbacks_total", "Deliveries from ConnectWise, by result.", "result"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cwvault_build_info", Help: "Always 1; the labels say which version runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.runs, m.steps, m.requests, m.retries, m.callbacks, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	for _, outcome := range []report.Outcome{report.Done, report.Partial, report.Stopped, report.Failed} {
		m.runs.WithLabelValues(string(outcome))
	}
	for _, o := range report.Operations() {
		for _, status := range []sync.Status{sync.StatusDone, sync.StatusFailed, sync.StatusSkipped} {
			m.steps.WithLabelValues(string(o.Op), string(status))
		}
	}
	for _, server := range []string{serverConnectWise, serverVault} {
		m.requests.WithLabelValues(server)
		m.retries.WithLabelValues(server)
	}
	return m
}

const (
	serverConnectWise = "connectwise"
	serverVault       = "vault"
)

// RunEnded counts a run.
func (m *Metrics) RunEnded(outcome report.Outcome, took time.Duration) {
	if m != nil {
		m.runs.WithLabelValues(string(outcome)).Observe(took.Seconds())
	}
}

// StepEnded counts a step of a run.
func (m *Metrics) StepEnded(op sync.Op, status sync.Status) {
	if m != nil {
		m.steps.WithLabelValues(string(op), string(status)).Inc()
	}
}

// RequestSent counts a request to a server, "connectwise" or "vault". retry means that
// it repeats a failed request.
func (m *Metrics) RequestSent(server string, retry bool) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(server).Inc()
	if retry {
		m.retries.WithLabelValues(server).Inc()
	}
}

// CallbackTaken counts a delivery from ConnectWise by its result.
func (m *Metrics) CallbackTaken(result string) {
	if m != nil {
		m.callbacks.WithLabelValues(result).Inc()
	}
}

// metrics answers with the counters and the current state.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	state := prometheus.NewRegistry()
	state.MustRegister(stateCollector{h.Service.State()})
	all := prometheus.Gatherers{state}
	if h.Metrics != nil {
		all = append(all, h.Metrics.registry)
	}
	promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// stateCollector turns a [State] into metrics. It omits numbers that are still unknown:
// unknown is not 0.
type stateCollector struct{ state State }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descAttempt   = gauge("cwvault_last_attempt_timestamp_seconds", "Start of the last full run; 0 if there was none.")
	descSuccess   = gauge("cwvault_last_success_timestamp_seconds", "Start of the last full run that succeeded; 0 if none did.")
	descStaleness = gauge("cwvault_staleness_seconds", "Time since the start of the last full run that succeeded; +Inf if none did.")
	descStale     = gauge("cwvault_stale", "1 if no run has succeeded for three intervals of the schedule.")
	descInStep    = gauge("cwvault_in_step", "1 if no difference between vault and ConnectWise is known.")
	descRunning   = gauge("cwvault_running", "1 while a run is in progress.")
	descNext      = gauge("cwvault_next_run_timestamp_seconds", "When the next scheduled run starts; 0 if none is scheduled.")
	descMissed    = gauge("cwvault_scheduler_missed_runs_total", "Scheduled times at which no run could start.")
	descLease     = gauge("cwvault_lease", "1 if the last run could get the lease.")
	descServerUp  = gauge("cwvault_server_up", "1 if the server answered at the last attempt.", "server")
	descCompanies = gauge("cwvault_companies", "Companies that ConnectWise lists.")
	descManaged   = gauge("cwvault_managed_folders", "Company folders that cwvault manages.")
	descDeparted  = gauge("cwvault_departed", "Managed folders of departed companies.")
	descPending   = gauge("cwvault_pending_steps", "Steps not made yet, including held ones, by operation.", "op")
	descHeld      = gauge("cwvault_held", "Things held, by code.", "code")
)

// Describe implements [prometheus.Collector].
func (c stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		descAttempt, descSuccess, descStaleness, descStale, descInStep, descRunning, descNext, descMissed, descLease,
		descServerUp, descCompanies, descManaged, descDeparted, descPending, descHeld,
	} {
		out <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c stateCollector) Collect(out chan<- prometheus.Metric) {
	st := c.state
	set := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	set(descAttempt, seconds(st.LastAttempt))
	set(descSuccess, seconds(st.LastGood))
	staleness := math.Inf(1)
	if !st.LastGood.IsZero() {
		staleness = st.Now.Sub(st.LastGood).Seconds()
	}
	set(descStaleness, staleness)
	set(descStale, flag(isStale(st)))
	set(descInStep, flag(st.NotInStep.IsZero() && !st.LastGood.IsZero()))
	set(descRunning, flag(!st.Scheduler.Running.Start.IsZero()))
	set(descNext, seconds(st.Scheduler.Next))
	out <- prometheus.MustNewConstMetric(descMissed, prometheus.CounterValue, float64(st.Scheduler.Missed))
	set(descLease, flag(st.Lease == ""))
	for server, reach := range map[string]Reach{serverConnectWise: st.ConnectWise, serverVault: st.VaultServer} {
		if !reach.At.IsZero() {
			set(descServerUp, flag(reach.Error == ""), server)
		}
	}
	if st.Look == nil {
		return
	}
	set(descCompanies, float64(st.Look.Listed))
	set(descManaged, float64(st.Look.Managed))
	set(descDeparted, float64(len(st.Look.Pending.Departed)))
	pending, held := map[sync.Op]int{}, map[sync.HoldCode]int{}
	for _, o := range report.Operations() {
		pending[o.Op] = 0
	}
	for _, step := range st.Look.Pending.Steps {
		pending[step.Op]++
	}
	for _, code := range sync.HoldCodes() {
		held[code] = 0
	}
	for _, h := range st.Look.Pending.Held {
		held[h.Code]++
	}
	for op, n := range pending {
		set(descPending, float64(n), string(op))
	}
	for code, n := range held {
		set(descHeld, float64(n), string(code))
	}
}

// seconds is t in Prometheus's form; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
