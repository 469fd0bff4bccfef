package service

import (
	"cwvault/scheduler/dashboard"
	"cwvault/sync/run"
)

// Metrics count what a service does, for GET /metrics.
type Metrics = dashboard.Metrics

// NewMetrics returns the metrics of a service of this version.
func NewMetrics(version string) *Metrics { return dashboard.NewMetrics(version) }

// CountRequests returns a function that counts a request to a server, and whether it is a
// retry. Whoever opens the connections of a service calls it for each.
func CountRequests(m *Metrics) func(server run.Server, retry bool) {
	return func(server run.Server, retry bool) { m.RequestSent(string(server), retry) }
}
