package sync

// Finding is the result of one check. Without Fix and Err all is well. With Fix
// alone it is a warning. With Err a run would fail for that reason.
type Finding struct {
	Subject string // what was checked, in one or two words
	Text    string // the result
	Fix     string // what to do; empty: nothing, or Text says it
	Err     error
}

// Level is how serious a [Finding] is.
type Level string

// The levels of findings, as `cwvault check` prints them.
const (
	LevelOK   Level = "Ok"
	LevelWarn Level = "Warn"
	LevelFail Level = "Fail"
)

// Level returns how serious the finding is.
func (f Finding) Level() Level {
	switch {
	case f.Err != nil:
		return LevelFail
	case f.Fix != "":
		return LevelWarn
	}
	return LevelOK
}
