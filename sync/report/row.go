package report

import "time"

// Row is one run in a list.
type Row struct {
	Number  int64          `json:"run"`
	Start   time.Time      `json:"start"`
	End     *time.Time     `json:"end,omitempty"` // nil: not over, or interrupted
	Trigger string         `json:"trigger"`
	Outcome Outcome        `json:"outcome"`
	Plan    string         `json:"plan,omitempty"` // its id
	Counts  map[string]int `json:"counts,omitempty"`
	Error   string         `json:"error,omitempty"`
}
