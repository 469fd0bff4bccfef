package connectwise

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"cwvault/sync"
)

// wireCompany is a company as ConnectWise sends it. Null fields are usually missing. A
// row in the tables of statuses and types has only id and name.
type wireCompany struct {
	ID         int       `json:"id"`
	Identifier string    `json:"identifier"`
	Name       string    `json:"name"`
	Status     wireRef   `json:"status"`
	Type       wireRef   `json:"type"`    // models up to 2018.5
	TypeIDs    []int     `json:"typeIds"` // models up to 2019.5
	Types      []wireRef `json:"types"`
	Territory  wireRef   `json:"territory"`
	Market     wireRef   `json:"market"`
	Parent     wireRef   `json:"parentCompany"`
	// Only Deleted says that a company is deleted: dateDeleted may be set on one
	// that is not.
	Deleted bool `json:"deletedFlag"`
}

type wireRef struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// ref returns the reference; the zero Ref if it refers to nothing.
func (w wireRef) ref() sync.Ref {
	if w.ID <= 0 {
		return sync.Ref{}
	}
	return sync.Ref(w)
}

func (w *wireCompany) company() sync.Company {
	c := sync.Company{
		ID:         w.ID,
		Identifier: w.Identifier,
		Name:       w.Name,
		Status:     w.Status.ref(),
		Territory:  w.Territory.ref(),
		Market:     w.Market.ref(),
		Parent:     w.Parent.ref(),
	}
	add := func(t wireRef) {
		if t.ID <= 0 {
			return
		}
		for _, has := range c.Types {
			if has.ID == t.ID {
				return
			}
		}
		c.Types = append(c.Types, t.ref())
	}
	for _, t := range w.Types {
		add(t)
	}
	for _, id := range w.TypeIDs {
		add(wireRef{ID: id})
	}
	add(w.Type)
	return c
}

func (w *wireCompany) id() int { return w.ID }

// record is a pointer to a record as ConnectWise sends it.
type record[R any] interface {
	*R
	id() int
}

// decodeOne returns a function that reads one JSON object into out.
func decodeOne[R any, P record[R]](out P) reader {
	return func(body io.Reader, _ http.Header) error {
		var read R
		if err := json.NewDecoder(body).Decode(&read); err != nil {
			return err
		}
		if P(&read).id() <= 0 {
			return fmt.Errorf("%w: the record has no id", ErrIncomplete)
		}
		*out = read
		return nil
	}
}

// decodeRows reads a JSON array of records and calls each with them one by one, in a
// value that it reuses. It fails if the array is not closed, if anything follows it, or
// if a row has no valid id.
func decodeRows[R any, P record[R]](r io.Reader, each func(P) error) error {
	dec := json.NewDecoder(r)
	open, err := dec.Token()
	if err != nil {
		return err
	}
	if open != json.Delim('[') {
		return fmt.Errorf("%w: expected a list", ErrIncomplete)
	}
	var row, none R
	for n := 1; dec.More(); n++ {
		row = none
		if err := dec.Decode(&row); err != nil {
			return err
		}
		if P(&row).id() <= 0 {
			return fmt.Errorf("%w: row %d of the list has no id", ErrIncomplete, n)
		}
		if err := each(&row); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("%w: text follows the list", ErrIncomplete)
		}
		return err
	}
	return nil
}
