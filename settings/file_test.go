package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	const limit = 8
	for name, size := range map[string]int{"empty": 0, "full": limit, "large": limit + 1} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		size int
		is   error
		text string
	}{
		{"empty", 0, nil, ""},
		{"full", limit, nil, ""},
		{"large", 0, ErrTooLarge, "is too large"},
		{".", 0, ErrDirectory, "is a directory, not a file"},
		{"none", 0, fs.ErrNotExist, "cannot be read: no such file or directory"},
		{"full/x", 0, nil, "cannot be read: not a directory"},
	} {
		data, err := ReadFile(filepath.Join(dir, c.name), limit)
		if len(data) != c.size || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %d bytes, %v", c.name, len(data), err)
		}
		if (err == nil) != (c.text == "") || err != nil && err.Error() != c.text {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

// TestReadFileWithoutEnd: a device says that it has no bytes and never ends.
func TestReadFileWithoutEnd(t *testing.T) {
	if data, err := ReadFile("/dev/zero", 1000); len(data) != 0 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
}
