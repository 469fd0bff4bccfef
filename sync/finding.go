package sync

// Finding is one thing that a check looked at. Without Fix and Err it is good;
// with Fix alone it is a warning; with Err a run would fail, for that reason.
type Finding struct {
	Subject string // what was looked at, in one or two words
	Text    string // what was found
	Fix     string // what to do about it; empty: nothing, or Text says it
	Err     error
}

// Level is what a [Finding] amounts to.
type Level string

// The levels of findings, as `cwvault check` prints them.
const (
	LevelOK   Level = "Ok"
	LevelWarn Level = "Warn"
	LevelFail Level = "Fail"
)

// Level returns what the finding amounts to.
func (f Finding) Level() Level {
	switch {
	case f.Err != nil:
		return LevelFail
	case f.Fix != "":
		return LevelWarn
	}
	return LevelOK
}
