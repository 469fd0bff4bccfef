// Package api is what the service and its clients say to each other: the paths
// of the API, the JSON that goes over the wire, and the errors behind its
// status codes.
//
// It holds no behaviour. Package cwvault/scheduler/dashboard answers these
// paths, and cwvault/scheduler/remote asks them. A whole run travels as
// cwvault.run/1 ([report.Run]) and a pending plan as cwvault.plan/1
// ([sync.Plan]); everything else is here. Fields may be added; those that exist
// keep their names and meanings.
package api

import (
	"errors"

	"cwvault/sync"
	"cwvault/sync/report"
)

// The paths of the API.
const (
	RunsPath      = "/api/runs"                 // GET: [Runs]; one run is below it: /api/runs/12
	PlanPath      = "/api/plan"                 // GET: what is pending
	CompaniesPath = "/api/companies"            // GET: [Companies]; one is below it: /api/companies/250
	ResyncPath    = "/api/resync"               // POST: a [Request]; GET what became of it below it
	CallbackPath  = "/api/connectwise/callback" // POST: deliveries from ConnectWise
)

// What a service can answer, for errors.Is.
var (
	// ErrNotFound: there is no such run, request or company.
	ErrNotFound = errors.New("not found")
	// ErrForged: a callback does not carry ConnectWise's signature.
	ErrForged = errors.New("not signed by ConnectWise")
	// ErrUndecided: the signature of a callback is still being checked. The
	// service acts on the callback if it proves genuine.
	ErrUndecided = errors.New("not verified yet")
	// ErrTooMany: the queue is full.
	ErrTooMany = errors.New("too many are waiting")
	// ErrInvalid: the request makes no sense; the error says why.
	ErrInvalid = errors.New("invalid")
)

// Failure is the body of every answer that is an error.
type Failure struct {
	Error string `json:"error"`
}

// Request is what a person asks for. Without companies it asks for a run of all.
type Request struct {
	// Companies are ids or identifiers.
	Companies []string `json:"companies,omitempty"`
	// Approve is the id of the plan that the person approves.
	Approve string `json:"approve,omitempty"`
	// Recreate are keys of missing folders that may be made again.
	Recreate []sync.Key `json:"recreate,omitempty"`
}

// State is how far a request is.
type State string

// The states of requests.
const (
	Waiting State = "waiting" // for its turn
	Running State = "running"
	Over    State = "over"
)

// Asked is what became of a [Request].
type Asked struct {
	ID    string `json:"request"`
	State State  `json:"state"`
	// Run is the number of the run that serves the request. A run gets its
	// number when both sides are read; Run is 0 before that, and stays 0 if the
	// run fails earlier.
	Run   int64 `json:"run,omitempty"`
	Done  int   `json:"done,omitempty"`  // steps so far
	Total int   `json:"total,omitempty"` // steps in all
	// ExitCode is what `cwvault resync` would have ended with, and Error what it
	// would have printed, once the request is over.
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
}

// Run is one run in a list.
type Run = report.Row

// Runs is a list of runs, the newest first.
type Runs struct {
	Runs []Run `json:"runs"`
}

// Company is one company as the last run saw it.
type Company struct {
	ID         int                 `json:"id"`
	Identifier string              `json:"identifier"`
	Name       string              `json:"name"`
	Path       string              `json:"path"` // where its folder is, or should be if it has none yet
	State      report.CompanyState `json:"state"`
	// Explain says why, as `cwvault explain` does. Lists leave it out.
	Explain string `json:"explain,omitempty"`
}

// NewCompany returns a company for a list.
func NewCompany(c report.Company) Company {
	return Company{ID: c.ID, Identifier: c.Identifier, Name: c.Name, Path: c.Where(), State: c.State()}
}

// Companies is what a search found. More: there are more than the limit.
type Companies struct {
	Companies []Company `json:"companies"`
	More      bool      `json:"more"`
}
