//go:build linux

package limits

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/e2e/program"
)

// result is what a process that ended by itself left.
type result struct {
	code           int
	stdout, stderr string
}

func runToEnd(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &stdout, &stderr, program.Environment(), t.TempDir()
	err := cmd.Run()
	if status := new(exec.ExitError); err != nil && !errors.As(err, &status) || ctx.Err() != nil {
		t.Fatalf("%s: %v, %v\n%s", name, err, ctx.Err(), &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// write makes a file for a test.
func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestWrongSettings starts the process with each fault: one line, code 2, no trace.
// The tests of cmd/fanfare hold every single message within one process, and, with a
// process of another user, key files and data directories without rights; those are
// not repeated here.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	const keys = "../../cmd/fanfare/config/testdata/keys/"
	absolute := func(name string) string {
		path, err := filepath.Abs(keys + name)
		must(t, err)
		return path
	}
	garbage, plain := write(t, "key.pem", "\x00\xff not a key"), write(t, "file", "")
	for name, c := range map[string]struct {
		file string   // the configuration file's text
		set  []string // more on the command line
		want []string
	}{
		"a typo":                    {"limits:\n  max_conections: 5\n", nil, []string{"fanfare.yaml:2:", "limits.max_conections", "did you mean max_connections?"}},
		"a section with a typo":     {"limit:\n  max_connections: 5\n", nil, []string{"fanfare.yaml:1:", "did you mean limits?"}},
		"a repeated key":            {"log:\n  level: info\n  level: debug\n", nil, []string{"fanfare.yaml:3:", "log.level", "given twice"}},
		"not YAML":                  {"log: [\n", nil, []string{"fanfare.yaml:", "is not YAML"}},
		"bytes":                     {"\x00\x01\x02\xff\xfe", nil, []string{"fanfare.yaml"}},
		"a negative limit":          {"limits:\n  max_connections: -1\n", nil, []string{"fanfare.yaml:2:", "limits.max_connections", "least is 0"}},
		"a negative size":           {"", []string{"limits.max_packet_size=-1"}, []string{"--set", "limits.max_packet_size"}},
		"a negative time":           {"", []string{"limits.handshake_timeout=-5s"}, []string{"--set", "limits.handshake_timeout", "least is 100ms"}},
		"a number beyond all":       {"", []string{"limits.max_connections=99999999999999999999"}, []string{"limits.max_connections"}},
		"a port out of range":       {"", []string{"node.listen.device=127.0.0.1:70000"}, []string{"node.listen.device", "70000", "65535"}},
		"a negative port":           {"", []string{"alloc.listen=127.0.0.1:-1"}, []string{"alloc.listen", "65535"}},
		"a missing file":            {"", []string{"security.private_key_file=/nowhere/key.pem"}, []string{"security.private_key_file", "/nowhere/key.pem", "no such file"}},
		"a key that is none":        {"", []string{"security.private_key_file=" + garbage}, []string{"security.private_key_file", "neither PEM nor base64"}},
		"keys that do not match":    {"", []string{"security.private_key_file=" + absolute("private.pem"), "security.public_key_file=" + absolute("other-public.pem")}, []string{"does not belong to the public key"}},
		"a directory as key":        {"", []string{"security.private_key_file=" + filepath.Dir(plain)}, []string{"security.private_key_file", "is a directory"}},
		"data below a file":         {"", []string{"store.dir=" + plain + "/data"}, []string{"store.dir", plain, "not a directory"}},
		"data in a file":            {"", []string{"store.dir=" + plain}, []string{"store.dir", plain, "is a file"}},
		"data below a device":       {"", []string{"store.dir=/dev/null/data"}, []string{"store.dir", "/dev/null"}},
		"an endless file as a key":  {"", []string{"security.private_key_file=/dev/zero"}, []string{"security.private_key_file", "/dev/zero"}},
		"an endless file as config": {"-", nil, []string{"/dev/zero"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"run"}
			switch c.file {
			case "":
			case "-":
				args = append(args, "--config", "/dev/zero")
			default:
				args = append(args, "--config", write(t, "fanfare.yaml", c.file))
			}
			for _, s := range c.set {
				args = append(args, "--set", s)
			}
			wantLine(t, runToEnd(t, fanfare, args...), 2, c.want...)
		})
	}
}

func wantLine(t *testing.T, r result, code int, texts ...string) {
	t.Helper()
	if r.code != code || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "fanfare: ") || len(r.stderr) > 500 {
		t.Fatalf("it ends with %d, want %d and one line:\n%.2000s", r.code, code, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("%q is not in %q", text, r.stderr)
		}
	}
}

// TestTwoProcessesOnOnePort starts a second process on each port of a first.
func TestTwoProcessesOnOnePort(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	for key, address := range map[string]string{
		"node.listen.device": p.device, "node.listen.websocket": p.websocket, "node.listen.gateway": p.gateway,
		"node.listen.ops": p.ops, "alloc.listen": p.alloc,
	} {
		args := []string{"run", "--log.level", "error", "--set", "security.private_key_file=" + absoluteKey(t)}
		for _, other := range listeners {
			if other != key {
				args = append(args, "--set", other+"=127.0.0.1:0")
			}
		}
		r := runToEnd(t, fanfare, append(args, "--set", key+"="+address)...)
		wantLine(t, r, 1, address, key, "in use by another process")
		if r.stdout != "" {
			t.Errorf("it said it was up: %s", r.stdout)
		}
	}
	p.works(t)
}

func absoluteKey(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../cmd/fanfare/config/testdata/keys/private.pem")
	must(t, err)
	return path
}

// TestAPortOfAnotherMachine cannot be bound.
func TestAPortOfAnotherMachine(t *testing.T) {
	t.Parallel()
	address := net.JoinHostPort("192.0.2.1", "3000") // reserved for documentation
	r := runToEnd(t, fanfare, "run", "--log.level", "error", "--set", "node.listen.device="+address)
	wantLine(t, r, 1, "node.listen.device", address)
}
