//go:build unix

package dingtalktest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mostFiles is how many descriptors are searched.
const mostFiles = 1 << 12

// BreakDisk has this process fail to write a file that it has open, as if the disk were
// broken; reading goes on. repair ends that.
func BreakDisk(file string) (repair func() error, err error) {
	fd, err := descriptor(file)
	if err != nil {
		return nil, err
	}
	readOnly, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer readOnly.Close()
	kept, err := unix.Dup(fd) // with its lock
	if err != nil {
		return nil, fmt.Errorf("keeping the descriptor of %s: %w", file, err)
	}
	if err := unix.Dup2(int(readOnly.Fd()), fd); err != nil {
		return nil, fmt.Errorf("replacing the descriptor of %s: %w", file, err)
	}
	return func() error {
		if err := unix.Dup2(kept, fd); err != nil {
			return fmt.Errorf("giving the descriptor of %s back: %w", file, err)
		}
		return unix.Close(kept)
	}, nil
}

// descriptor finds the one by which this process has a file open.
func descriptor(file string) (int, error) {
	var want, have unix.Stat_t
	if err := unix.Stat(file, &want); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	for fd := range mostFiles {
		if unix.Fstat(fd, &have) == nil && have.Dev == want.Dev && have.Ino == want.Ino {
			return fd, nil
		}
	}
	return 0, fmt.Errorf("%s is not open", file)
}
