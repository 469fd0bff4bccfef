package dashboard

import (
	"net/http"
	"time"
)

// healthz says that the service is alive and when it ran. Like readyz it names no
// customer, no error and no address, because anybody may ask.
func (h *handler) healthz(w http.ResponseWriter, r *http.Request) {
	st := h.Service.State().Scheduler
	body := struct {
		Status      string     `json:"status"`
		Running     bool       `json:"running"`
		LastStart   *time.Time `json:"lastStart,omitempty"`
		LastOK      *bool      `json:"lastOk,omitempty"`
		LastSuccess *time.Time `json:"lastSuccess,omitempty"`
		Next        *time.Time `json:"next,omitempty"`
	}{Status: "alive", Running: !st.Running.Start.IsZero(), LastStart: timeOrNil(st.Last.Start),
		LastSuccess: timeOrNil(st.LastSuccess), Next: timeOrNil(st.Next)}
	if !st.Last.Start.IsZero() {
		ok := st.Last.Err == nil
		body.LastOK = &ok
	}
	writeJSON(w, http.StatusOK, body)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// A condition must hold for the service to be ready.
type condition struct {
	Code string `json:"code"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// conditions returns the conditions and whether each holds.
func conditions(st State) []condition {
	return []condition{
		fresh(st),
		lease(st),
		reached("connectwise", "ConnectWise", st.ConnectWise),
		reached("vault", "The vault", st.VaultServer),
	}
}

func fresh(st State) condition {
	c := condition{Code: "last-good-run"}
	switch {
	case st.LastGood.IsZero():
		c.Text = "No run has succeeded yet."
	case isStale(st):
		c.Text = "No run has succeeded for three intervals of the schedule."
	default:
		c.OK, c.Text = true, "The last good run is less than three intervals of the schedule old."
	}
	return c
}

// isStale reports whether the last good run is too long ago, or, if there was none, the
// start of the service.
func isStale(st State) bool { return !st.Now.Before(st.Stale) }

func lease(st State) condition {
	if st.Lease != "" {
		return condition{Code: "lease", Text: "The last run could not start because another process held the lease."}
	}
	return condition{Code: "lease", OK: true, Text: "No other process held the lease at the last run."}
}

func reached(code, name string, r Reach) condition {
	switch {
	case r.At.IsZero():
		return condition{Code: code, OK: true, Text: name + " has not been contacted since the service started."}
	case r.Error != "":
		return condition{Code: code, Text: name + " was unreachable or answered with an error at the last attempt."}
	}
	return condition{Code: code, OK: true, Text: name + " answered at the last attempt."}
}

// readyz says whether the service is ready, and if not, why.
func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	body := struct {
		Ready      bool        `json:"ready"`
		Conditions []condition `json:"conditions"`
	}{true, conditions(h.Service.State())}
	for _, c := range body.Conditions {
		body.Ready = body.Ready && c.OK
	}
	status := http.StatusOK
	if !body.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, body)
}
