package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestPacked(t *testing.T) {
	for _, n := range []int{0, 1, packSize - 1, packSize, packSize + 1, 1000} {
		var p packer
		var gets []func() string
		var want []string
		raw := 0
		for i := range n {
			text := strings.Repeat(fmt.Sprintf("company %d é\n", i), i%5)
			raw += len(text)
			want = append(want, text)
			gets = append(gets, p.add(text))
		}
		p.done()
		p.done()
		for i, get := range gets {
			if got := get(); got != want[i] {
				t.Fatalf("%d of %d: %q, want %q", i, n, got, want[i])
			}
		}
	}
	var p packer
	get := p.add(strings.Repeat("a company ", 1000))
	in := p.last
	if p.done(); len(in.packed) > 200 || in.texts != nil || len(get()) != 10_000 {
		t.Errorf("packed in %d bytes, %d texts", len(in.packed), len(in.texts))
	}
}
