package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// What [ReadFile] finds wrong with a file that can be opened.
var (
	ErrDirectory = errors.New("is a directory, not a file")
	ErrTooLarge  = errors.New("is too large")
)

// ReadFile reads a file of at most limit bytes, and no more of one that claims to be
// short and has no end. The error is written to follow the file's name, which it leaves
// out: [ErrDirectory], [ErrTooLarge] or one that wraps what the system says.
func ReadFile(name string, limit int64) (data []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if info.IsDir() {
		return nil, ErrDirectory
	}
	if data, err = io.ReadAll(io.LimitReader(file, limit+1)); err != nil {
		return nil, cause(err)
	}
	if int64(len(data)) > limit {
		return nil, ErrTooLarge
	}
	return data, nil
}

// cause leaves the operation and the path out of an error of the os package.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}
