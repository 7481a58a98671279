package spool

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filled makes a spool with some hundred entries and returns its file.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, roomy())
	for i := range 300 {
		if _, err := s.Accept(note("ops", uint8(i%3), strings.Repeat("body ", 400))); err != nil {
			t.Fatal(err)
		}
		if i > 100 && i%2 == 0 {
			if err := s.Replace(s.Waiting("ops")[:1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, fileName)
}

// TestDamagedFile: a damaged file is refused with its name and what to do, or every entry
// is there; the process never ends and nothing is left out in silence.
func TestDamagedFile(t *testing.T) {
	whole, err := os.ReadFile(filled(t))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	damages := map[string]func([]byte) []byte{
		"half":                func(b []byte) []byte { return b[:len(b)/2] },
		"two thirds":          func(b []byte) []byte { return b[:len(b)/3*2] },
		"three pages":         func(b []byte) []byte { return b[:3*4096] },
		"some bytes":          func(b []byte) []byte { return b[:100] },
		"zeros in the middle": func(b []byte) []byte { clear(b[len(b)/3 : len(b)/2]); return b },
		"no zero left": func(b []byte) []byte {
			for i := 2 * 4096; i < len(b); i++ {
				b[i] = 0xff
			}
			return b
		},
	}
	for i := range 60 {
		seed := random.Uint64()
		damages["page "+string(rune('a'+i%26))+string(rune('a'+i/26))] = func(b []byte) []byte {
			r := rand.New(rand.NewPCG(seed, 1))
			page := 2 + r.IntN(len(b)/4096-2)
			for i := range 4096 {
				b[page*4096+i] = byte(r.Uint32())
			}
			return b
		}
		damages["head "+string(rune('a'+i%26))+string(rune('a'+i/26))] = func(b []byte) []byte {
			r := rand.New(rand.NewPCG(seed, 1))
			page := 2 + r.IntN(len(b)/4096-2)
			for i := range 64 {
				b[page*4096+i] = byte(r.Uint32())
			}
			return b
		}
	}
	refused := 0
	for name, damage := range damages {
		dir := t.TempDir()
		file := filepath.Join(dir, fileName)
		if err := os.WriteFile(file, damage(append([]byte(nil), whole...)), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir, Limits: roomy()})
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "move it away") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the file is gone: %v", name, err)
			}
			continue
		}
		if n := s.Depth("ops"); n != 200 && n != 199 && n != 201 {
			t.Errorf("%s: %d entries wait", name, n)
		}
		for _, e := range s.Waiting("ops") {
			if _, err := s.Body(e); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if refused < 5 {
		t.Errorf("%d damaged files were refused", refused)
	}
}
