//go:build linux

package configs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/e2e/program"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// patience bounds every wait for a process.
const patience = 60 * time.Second

// output is what a process printed.
type output = program.Output

// serve runs a program that listens on address until the test ends, and waits until the
// path answers 200. It returns the address as a URL.
func serve(t *testing.T, address, path, name string, args ...string) string {
	t.Helper()
	command := exec.Command(lookPath(t, name), args...)
	var out output
	command.Stdout, command.Stderr, command.Dir = &out, &out, t.TempDir()
	ended, err := backing.StartChild(command)
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		<-ended
	})
	url := "http://" + address
	await(t, name, &out, ended, func() error {
		_, err := get(t.Context(), url+path)
		return err
	})
	return url
}

// await polls until ready returns nil.
func await(t *testing.T, what string, out fmt.Stringer, ended <-chan struct{}, ready func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended; it printed:\n%s", what, out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v; it printed:\n%s", what, err, out)
		}
	}
}

// get reads an answer, which must be 200.
func get(ctx context.Context, url string) (string, error) {
	return do(ctx, http.MethodGet, url, nil)
}

func do(ctx context.Context, method, url string, body io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true // no connection is kept when the test ends
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, response.Status, text)
	}
	return string(text), err
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	return backing.FreeAddress(t)
}
