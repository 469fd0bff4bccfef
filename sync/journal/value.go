package journal

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// text is a string in a column. PostgreSQL accepts only valid UTF-8 without NUL,
// but a directory's name, and so a folder's id, may contain any bytes. Such a
// string is stored as hexadecimal digits after a mark.
type text string

const hexMark = "\x01"

// Value implements [driver.Valuer].
func (t text) Value() (driver.Value, error) {
	s := string(t)
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, hexMark) {
		return s, nil
	}
	return hexMark + hex.EncodeToString([]byte(s)), nil
}

// Scan implements [sql.Scanner].
func (t *text) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("text expected, found %T", v)
	}
	if digits, marked := strings.CutPrefix(s, hexMark); marked {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return err
		}
		s = string(b)
	}
	*t = text(s)
	return nil
}

// maxError is how many bytes of an error's text the journal stores.
const maxError = 4 << 10

// shortened truncates the text of an error to maxError.
func shortened(s string) text {
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + "…"
	}
	return text(s)
}

// stamp is a time in a column: Unix milliseconds, 0 for none.
type stamp time.Time

// Value implements [driver.Valuer].
func (s stamp) Value() (driver.Value, error) {
	if time.Time(s).IsZero() {
		return int64(0), nil
	}
	return time.Time(s).UnixMilli(), nil
}

// Scan implements [sql.Scanner].
func (s *stamp) Scan(v any) error {
	ms, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time expected, found %T", v)
	}
	*s = stamp(fromMillis(ms))
	return nil
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
