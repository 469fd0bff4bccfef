package connectwise

import "time"

// NoPauses makes a client retry at once.
func NoPauses(c *Client) { c.retry.Pause = func(time.Duration) time.Duration { return 0 } }
