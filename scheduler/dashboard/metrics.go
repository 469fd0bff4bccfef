package dashboard

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what happens, for Prometheus.
type Metrics struct{ registry *prometheus.Registry }
