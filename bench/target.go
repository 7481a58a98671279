package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// readyPatience is how long a server may take to start.
const readyPatience = 30 * time.Second

// Server says which server a scenario measures: one that the load generator
// starts and ends itself, or one that runs already.
type Server struct {
	ServerBinary string   `placeholder:"FILE" help:"The fanfare program to start as the server. Default: this program."`
	ServerSet    []string `placeholder:"KEY=VALUE" sep:"none" help:"A setting for the server that is started (repeatable)."`
	ServerEnv    []string `placeholder:"NAME=VALUE" sep:"none" help:"An environment variable for it, such as GOGC=200 (repeatable)."`

	Target        string `placeholder:"HOST:PORT" help:"Device port of a running server to measure instead of starting one."`
	TargetGateway string `placeholder:"HOST:PORT" default:"127.0.0.1:3001" help:"Gateway port of that server."`
	TargetOps     string `placeholder:"HOST:PORT" default:"127.0.0.1:9310" help:"Operations port of that server."`
	TargetAPI     string `placeholder:"HOST:PORT" default:"127.0.0.1:9999" help:"API port of that server."`
	YesRemote     bool   `help:"Load servers that are not on this machine too."`
}

// target is a server that is up.
type target struct {
	device, gateway, ops, api string
	process                   *process // nil: somebody else's
}

// open starts the server or checks the given one.
func (s *Server) open(ctx context.Context) (*target, error) {
	if s.Target == "" {
		return s.start(ctx)
	}
	t := &target{device: s.Target, gateway: s.TargetGateway, ops: s.TargetOps, api: s.TargetAPI}
	for _, address := range []string{t.device, t.gateway, t.ops, t.api} {
		if err := checkLoopback(address); err != nil && !(s.YesRemote && errors.Is(err, errRemote)) {
			return nil, err
		}
	}
	return t, nil
}

// start runs a server on free ports of this machine with the published key pair.
func (s *Server) start(ctx context.Context) (*target, error) {
	exe, err := program(s.ServerBinary)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	t := &target{device: ports[0], gateway: ports[1], ops: ports[2], api: ports[3]}
	t.process, err = startServer(ctx, exe, s.arguments(t, ports[4]), s.ServerEnv)
	if err != nil {
		return nil, err
	}
	if err := t.ready(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// arguments are the command line of the server.
func (s *Server) arguments(t *target, webSocket string) []string {
	args := []string{"run"}
	for _, setting := range append([]string{
		"node.listen.device=" + t.device,
		"node.listen.websocket=" + webSocket,
		"node.listen.gateway=" + t.gateway,
		"node.listen.ops=" + t.ops,
		"alloc.listen=" + t.api,
		"node.listen.admin=",
		"limits.max_heartbeat=1h", // devices stay silent while they are measured
		"push.broadcast_rate=0",   // as fast as it goes
		"log.level=warn",
	}, s.ServerSet...) {
		args = append(args, "--set", setting)
	}
	return args
}

// startServer leaves settings of this process's environment out, so that a run
// can be repeated.
func startServer(ctx context.Context, exe string, args, environ []string) (*process, error) {
	kept := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "FANFARE_") })
	return startProcess(ctx, "fanfare run", exe, args, streams{env: append(kept, environ...)})
}

// program is the path of the binary to start: the given one or this one.
func program(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program to start it again: %w", err)
	}
	return own, nil
}

// freePorts finds count loopback addresses that nobody listens on just now.
func freePorts(count int) ([]string, error) {
	var addresses []string
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // after the last one, so that all differ
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// ready waits until the server says that it is.
func (t *target) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("the server was not ready within %v", readyPatience))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok(ctx, "http://"+t.ops+"/-/ready") {
			return nil
		}
		select {
		case <-tick.C:
		case <-t.process.exited:
			return t.process.died()
		case <-ctx.Done():
			return fmt.Errorf("start the server: %w; it said:\n%s", context.Cause(ctx), t.process.said)
		}
	}
}

// ok tells whether a GET is answered with 200.
func ok(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, longestMetrics)) // so that the connection can be kept
	return response.StatusCode == http.StatusOK
}

func (t *target) metrics(ctx context.Context) (metrics, error) {
	return fetchMetrics(ctx, "http://"+t.ops+"/metrics")
}

// usage is what the server has used: as the kernel says for our own child, else as
// the server itself does.
func (t *target) usage(ctx context.Context) (usage, error) {
	if t.process != nil {
		u, err := processUsage(t.process.pid())
		if !errors.Is(err, errors.ErrUnsupported) {
			return u, err
		}
	}
	page, err := t.metrics(ctx)
	if err != nil {
		return usage{}, err
	}
	return usage{
		CPU: time.Duration(page["process_cpu_seconds_total"] * float64(time.Second)),
		RSS: int64(page["process_resident_memory_bytes"]),
	}, nil
}

// close ends the server if the load generator started it.
func (t *target) close() {
	if t.process != nil {
		t.process.stop()
	}
}
