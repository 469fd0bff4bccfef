package main

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
)

// packer keeps many texts that are much alike in a tenth of their size.
type packer struct {
	last *pack
}

// pack is some of the texts. They are compressed together and unpacked together.
type pack struct {
	texts  []string // until there are enough
	packed []byte
}

const (
	packSize  = 64
	separator = "\x00" // in no text: they are printable
)

// add takes a text and returns what gets it back. That may be called by several
// goroutines at once, but not before done is called.
func (p *packer) add(text string) (get func() string) {
	if p.last == nil {
		p.last = &pack{}
	}
	in, i := p.last, len(p.last.texts)
	in.texts = append(in.texts, text)
	if len(in.texts) == packSize {
		p.done()
	}
	return func() string { return in.get(i) }
}

// done packs the texts that are left.
func (p *packer) done() {
	if p.last == nil {
		return
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err == nil {
		_, err = io.WriteString(w, strings.Join(p.last.texts, separator))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil { // a buffer takes everything; otherwise they stay as they are
		p.last.texts, p.last.packed = nil, bytes.Clone(b.Bytes())
	}
	p.last = nil
}

func (p *pack) get(i int) string {
	texts := p.texts
	if p.packed != nil {
		text, err := io.ReadAll(flate.NewReader(bytes.NewReader(p.packed)))
		if err != nil {
			return "" // it is in memory and was packed here
		}
		texts = strings.Split(string(text), separator)
	}
	return texts[i]
}
