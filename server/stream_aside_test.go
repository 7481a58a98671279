package server

import (
	"errors"
	"io"
	"testing"
)

// A frame that is written aside takes nothing of the bound from those before and
// behind it.
func TestStreamWritesAside(t *testing.T) {
	both(t, func(t *testing.T, overPipe bool) {
		const bound, long = 64 << 10, 16 << 20
		p := newPair(t, overPipe, bound)
		fill := make([]byte, long) // through an empty queue
		if flushed, err := p.write(fill); flushed || err != nil {
			t.Fatalf("%t %v", flushed, err)
		}
		if _, err := p.write(make([]byte, 1)); !errors.Is(err, errSlow) {
			t.Fatalf("beyond the bound: %v", err)
		}
		if flushed, err := p.writeAside(make([]byte, long)); flushed || err != nil {
			t.Fatalf("aside: %t %v", flushed, err)
		}
		end := newNote()
		if p.settle(end) {
			t.Fatal("nothing waits")
		}
		if _, err := p.write(make([]byte, bound)); err != nil {
			t.Fatalf("behind it: %v", err)
		}
		if _, err := p.write(make([]byte, 1)); !errors.Is(err, errSlow) {
			t.Fatalf("beyond the bound behind it: %v", err)
		}
		if n, err := io.ReadFull(p.peer, make([]byte, 2*long+bound)); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if how := end.wait(t); how != "written" {
			t.Errorf("write ended as %s", how)
		}
		for { // what waits is at most the bound, and counts again
			if _, err := p.write(make([]byte, bound)); err != nil {
				if !errors.Is(err, errSlow) {
					t.Fatal(err)
				}
				break
			}
		}
	})
}
