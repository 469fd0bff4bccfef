package connectwise

import (
	"context"
	"errors"
)

// ErrForged: a delivery is not from ConnectWise, or not about this tenant's
// companies.
var ErrForged = errors.New("not signed by ConnectWise")

// Event is a change of a company, as a delivery tells of it.
type Event struct {
	Company int
	Action  string // "added", "updated" or "deleted"
}

type signingKeys struct{}

// VerifyDelivery is not written yet.
func (c *Client) VerifyDelivery(ctx context.Context, body []byte, signature string) (Event, error) {
	return Event{}, ErrForged
}
