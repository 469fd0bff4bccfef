package sync

// Approvable is temporary.
func (c HoldCode) Approvable() bool { return c.ByGuard() || c == HeldAccessWidens }

// NeedsPerson is temporary.
func (c HoldCode) NeedsPerson() bool {
	return c != HeldExcluded && c != HeldPaused && c != HeldSettling && c != HeldFailedBefore
}
