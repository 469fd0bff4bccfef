package sync

// NameRules says which folder names a vault can hold. Every vault states its
// own; see package vault for the parts they share.
type NameRules struct {
	// MaxLength is the length of the longest possible name, as Length counts
	// it. Zero means no limit.
	MaxLength int
	// Length measures a name in the vault's own unit (bytes, UTF-16 units).
	// Nil counts Unicode code points.
	Length func(name string) int
	// Forbidden holds the characters that cannot stand in a name. They are
	// replaced by '-'. The backslash and control characters are always
	// forbidden and need not be listed.
	Forbidden string
	// Leading and Trailing hold characters with which no name may begin or
	// end. They are dropped there. White space is always dropped.
	Leading, Trailing string
	// Special reports names that mean something to the vault (".git",
	// "CON") though all of their characters are allowed. Nil: none do. A name
	// made longer by " (IDENTIFIER)" must not be special.
	Special func(name string) bool
	// Fold maps names that people take for the same name to the same string:
	// it ignores case, width and Unicode form. It must be idempotent. Must
	// not be nil.
	Fold func(name string) string
	// Form brings a name to the Unicode form in which it is written. It must
	// be idempotent. Must not be nil.
	Form func(name string) string
}
