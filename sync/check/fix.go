package check

import (
	"errors"

	"cwvault/sync"
	"cwvault/sync/run"
)

// FixFor says what to do about an error of a run, in the words of the settings.
// Errors themselves state facts, because the packages that make them know no
// settings. It returns nothing if the error says what to do, or if there is nothing
// to do but to look into it.
func FixFor(err error) string {
	var source *sync.SourceError
	var mismatch *run.MismatchError
	var noRoot *run.NoRootError
	var names *sync.SettingsError
	switch {
	case errors.As(err, &mismatch):
		return mismatchSetting(mismatch) + " is not the one of earlier runs; correct it, or give another installation a CWVAULT_STATE of its own"
	case errors.As(err, &noRoot):
		return "make it in the vault, correct CWVAULT_ROOT, or set CWVAULT_CREATE_ROOT=true"
	case errors.As(err, &names):
		return "correct CWVAULT_TYPES, CWVAULT_STATUSES or CWVAULT_TYPE_PRIORITY; names and ids are those of ConnectWise"
	case errors.As(err, &source) && source.Dropped:
		return "check the role of the API member, or allow the drop for one run with CWVAULT_MAX_SOURCE_DROP=off"
	}
	return ""
}
