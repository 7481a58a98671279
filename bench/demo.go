package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// Bounds of a demonstration. It is there to be looked at; to measure is what the other
// scenarios are for.
const (
	mostDemoDevices = 1000
	mostDemoRate    = 200              // pushes a second
	demoGap         = time.Second / 20 // between the first logins of two devices
	demoReport      = 30 * time.Second // between two lines of progress
)

// Demo keeps a running cluster busy, gently and until it is stopped: devices of every
// kind that come and go, pushes to them, to many and to nobody. It measures nothing;
// the dashboards do.
type Demo struct {
	Allocators    []string          `name:"allocator" placeholder:"URL" default:"http://127.0.0.1:9999" help:"Allocator that devices and pushes go through; may be repeated. Default: http://127.0.0.1:9999."`
	TokenFile     string            `placeholder:"FILE" help:"File with the token of the API."`
	PublicKeyFile string            `placeholder:"FILE" help:"Public key of the cluster. Default: MPush's published demo key."`
	Devices       int               `default:"200" help:"Devices, at most 1000."`
	Rate          float64           `default:"20" help:"Pushes a second, at most 200."`
	Broadcast     time.Duration     `default:"20s" help:"Time from one broadcast to the next; 0 for none."`
	Session       time.Duration     `default:"3m" help:"How long a device stays connected, on average."`
	Length        time.Duration     `default:"0" help:"End after this time. 0: when interrupted."`
	Listen        string            `placeholder:"HOST:PORT" help:"Answer /-/ready here: whether most devices are connected."`
	ConnectTo     map[string]string `placeholder:"HOST:PORT=HOST:PORT" help:"Where devices really connect for an address that an allocator names; may be repeated."`
	YesRemote     bool              `help:"Load a cluster that is not on this machine too."`

	// Log takes a line now and then; nil is the standard error.
	Log io.Writer `kong:"-"`
}

// demo is a demonstration under way.
type demo struct {
	*Demo
	pushers []*client.Pusher // one for each allocator
	key     *protocol.PublicKey

	connected atomic.Int64 // devices that are bound
	received  atomic.Int64
	accepted  atomic.Int64 // pushes
	refused   atomic.Int64 // pushes that failed or were refused
	leftOut   atomic.Int64 // pushes that were due while too many were under way
	failed    atomic.Int64 // connections that were refused or broke
}

// Run loads the cluster until ctx ends.
func (d *Demo) Run(ctx context.Context) error {
	r, err := d.open()
	if err != nil {
		return err
	}
	defer r.close()
	if d.Length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Length)
		defer cancel()
	}
	parts, ctx := errgroup.WithContext(ctx)
	if d.Listen != "" {
		parts.Go(func() error { return r.serve(ctx) })
	}
	for i := range d.Devices {
		parts.Go(func() error { r.live(ctx, demoDeviceOf(i)); return nil })
	}
	parts.Go(func() error { r.push(ctx); return nil })
	parts.Go(func() error { r.broadcast(ctx); return nil })
	parts.Go(func() error { r.report(ctx); return nil })
	return parts.Wait()
}

// open checks the flags and reads the files they name.
func (d *Demo) open() (*demo, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	token, err := readToken(d.TokenFile)
	if err != nil {
		return nil, err
	}
	r := &demo{Demo: d}
	if r.key, err = readPublicKey(d.PublicKeyFile); err != nil {
		return nil, err
	}
	for _, allocator := range d.Allocators {
		p, err := client.NewPusher(client.PusherOptions{URL: allocator, Token: token, MaxRetries: -1, TryTimeout: 5 * time.Second})
		if err != nil {
			r.close()
			return nil, fmt.Errorf("--allocator=%s: %w", allocator, err)
		}
		r.pushers = append(r.pushers, p)
	}
	return r, nil
}

func (d *Demo) check() error {
	switch {
	case d.Devices < 1 || d.Devices > mostDemoDevices:
		return fmt.Errorf("--devices=%d: want 1 to %d", d.Devices, mostDemoDevices)
	case !(d.Rate > 0 && d.Rate <= mostDemoRate):
		return fmt.Errorf("--rate=%v: want more than 0 and at most %d", d.Rate, mostDemoRate)
	case d.Broadcast != 0 && d.Broadcast < time.Second:
		return fmt.Errorf("--broadcast=%v: want 1s or more, or 0", d.Broadcast)
	case d.Session < time.Second:
		return fmt.Errorf("--session=%v: want 1s or more", d.Session)
	}
	for _, allocator := range d.Allocators {
		if err := d.checkAllocator(allocator); err != nil {
			return fmt.Errorf("--allocator=%s: %w", allocator, err)
		}
	}
	return nil
}

func (d *Demo) checkAllocator(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want a URL such as http://127.0.0.1:9999")
	}
	if d.YesRemote {
		return nil
	}
	return checkLoopback(net.JoinHostPort(u.Hostname(), "0"))
}

// readToken takes the first line that is neither empty nor a comment.
func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line, nil
		}
	}
	return "", fmt.Errorf("--token-file=%s: holds no token", file)
}

func readPublicKey(file string) (*protocol.PublicKey, error) {
	if file == "" {
		pair, err := protocol.DemoKeyPair()
		if err != nil {
			return nil, fmt.Errorf("the published key: %w", err)
		}
		return pair.Public(), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--public-key-file: %w", err)
	}
	key, err := protocol.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("--public-key-file=%s: %w", file, err)
	}
	return key, nil
}

// dial connects to where an address leads.
func (d *Demo) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if to, ok := d.ConnectTo[address]; ok {
		address = to
	}
	if !d.YesRemote {
		if err := checkLoopback(address); err != nil {
			return nil, err
		}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// serve answers whether most devices are connected.
func (d *demo) serve(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /-/ready", d.ready)
	server := &http.Server{Handler: routes, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", d.Listen, err)
	}
	return nil
}

func (d *demo) ready(w http.ResponseWriter, _ *http.Request) {
	if connected := d.connected.Load(); 2*connected < int64(d.Devices) {
		http.Error(w, fmt.Sprintf("%d of %d devices are connected", connected, d.Devices), http.StatusServiceUnavailable)
	}
}

// report says now and then how it goes.
func (d *demo) report(ctx context.Context) {
	for pause(ctx, demoReport) {
		d.say("%d of %d devices are connected, %d connections failed, %d messages arrived; %d pushes were accepted, %d failed, %d left out",
			d.connected.Load(), d.Devices, d.failed.Load(), d.received.Load(), d.accepted.Load(), d.refused.Load(), d.leftOut.Load())
	}
}

func (d *demo) say(format string, args ...any) {
	out := d.Log
	if out == nil {
		out = os.Stderr
	}
	fmt.Fprintf(out, "demo: "+format+"\n", args...)
}

func (d *demo) close() {
	for _, p := range d.pushers {
		p.Close()
	}
}

// pause returns false when ctx ended before the time was over.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
