package dashboard

import "cwvault/scheduler/api"

// These have moved to package api. The names here go when nobody uses them.
type (
	Request = api.Request
	Asked   = api.Asked
	Run     = api.Run
)

// See above.
var (
	ErrNotFound  = api.ErrNotFound
	ErrForged    = api.ErrForged
	ErrUndecided = api.ErrUndecided
	ErrTooMany   = api.ErrTooMany
	ErrInvalid   = api.ErrInvalid
)
