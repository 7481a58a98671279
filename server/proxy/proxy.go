package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

// Options configure a [Proxy]. Start from [DefaultOptions].
type Options struct {
	// Allow are the rules, scheme://host:port each, of where devices may go: exactly
	// there, or with *. before the host to all names with one more part. At least one.
	Allow []string
	// AllowPrivate are host:port or blocks of addresses that may be reached although they
	// are not public. A host does not open link-local addresses; a block does.
	AllowPrivate []string
	// DNSMapping are host=ip:port each: backends that serve a host in place of what its
	// name resolves to. They may be private. With http:// before the address they are
	// spoken to without TLS whatever the URL says, as MPush always does.
	DNSMapping []string

	Timeout        time.Duration // of a request that does not say
	MaxTimeout     time.Duration // of one that does
	ConnectTimeout time.Duration // for finding and reaching a destination
	MaxResponse    int64         // bytes of a body; more is answered with 502
	MaxMemory      int64         // bytes of the bodies of all answers under way; more is answered with 503
	Workers        int           // requests that run at a time
	Queue          int           // requests that wait, half of them for one destination; one more is answered with 503
	PerHost        int           // connections to one scheme, host and port
	IdlePerHost    int           // of these, kept open for the next request
	PerConnection  int           // requests of one device at a time; one more is answered with 503

	Resolver Resolver // nil: the system's
	// Dial connects to an address that was checked; nil: a net.Dialer.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Roots   *x509.CertPool // of certificates of destinations; nil: the system's
	Logger  *slog.Logger
	Metrics *exporter.Metrics
}

// DefaultOptions returns MPush's defaults where MPush has the setting. Rules, Logger
// and Metrics are left to the caller.
func DefaultOptions() Options {
	return Options{
		Timeout: 10 * time.Second, MaxTimeout: time.Minute, ConnectTimeout: 4 * time.Second,
		MaxResponse: 5 << 20, MaxMemory: 128 << 20, Workers: 256, Queue: 1024, PerHost: 64, IdlePerHost: 5, PerConnection: 16,
	}
}

func (o *Options) validate() error {
	var errs []error
	bad := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	bad(len(o.Allow) > 0, "allow has no rule: name where devices may go, such as https://*.example.com")
	bad(o.Logger != nil && o.Metrics != nil, "logger and metrics are required")
	bad(o.Timeout > 0 && o.MaxTimeout >= o.Timeout, "the timeout must be positive and not above the largest")
	bad(o.ConnectTimeout > 0, "the connect timeout must be positive")
	bad(o.MaxResponse > 0 && o.MaxMemory >= o.MaxResponse, "the largest response must be positive and not above the memory")
	bad(o.Workers > 0 && o.Queue > 0 && o.PerConnection > 0, "workers, queue and requests per connection must be positive")
	bad(o.PerHost > 0 && o.IdlePerHost > 0, "connections per host must be positive")
	return errors.Join(errs...)
}

// Proxy makes HTTP requests for devices. Its methods may be called from any goroutine.
type Proxy struct {
	opt       Options
	log       *slog.Logger
	metrics   *exporter.Metrics
	rules     []rule
	private   *permissions
	mapping   mapping
	transport *http.Transport
	memory    budget
	workers   chan struct{} // a token for each request that runs

	life     context.Context // until Close
	end      context.CancelFunc
	watching sync.WaitGroup

	mu       sync.Mutex
	hosts    map[origin]*hostCalls
	admitted int
}

// hostCalls are the requests to one destination, counted by the one they began with.
type hostCalls struct {
	slots    chan struct{} // a token for each request that runs
	admitted int
}

// New checks the options. The error names the one that is wrong. Nothing runs before
// Start.
func New(o Options) (*Proxy, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("HTTP proxy: %w", err)
	}
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{PreferGo: true} // the system's own cannot be interrupted
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	p := &Proxy{opt: o, log: o.Logger, metrics: o.Metrics, memory: budget{limit: o.MaxMemory},
		workers: make(chan struct{}, o.Workers), hosts: make(map[origin]*hostCalls)}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("HTTP proxy: %w", err)
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.transport = p.newTransport()
	return p, nil
}

func (p *Proxy) parse() (err error) {
	for i, text := range p.opt.Allow {
		r, err := parseRule(text)
		if err != nil {
			return fmt.Errorf("allow[%d]: %w", i, err)
		}
		p.rules = append(p.rules, r)
	}
	if p.private, err = parsePermissions(p.opt.AllowPrivate); err != nil {
		return err
	}
	p.mapping, err = parseMapping(p.opt.DNSMapping)
	return err
}

// newTransport keeps connections by scheme, host and port. It speaks HTTP/1.1, asks
// no environment for another proxy, keeps no cookies and leaves bodies compressed.
func (p *Proxy) newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: p.dial, Protocols: protocols, DisableCompression: true,
		TLSClientConfig:     &tls.Config{RootCAs: p.opt.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: p.opt.ConnectTimeout, IdleConnTimeout: time.Minute,
		MaxIdleConns: 16 * p.opt.IdlePerHost, MaxIdleConnsPerHost: p.opt.IdlePerHost, MaxConnsPerHost: p.opt.PerHost,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
}

// Start begins to watch the backends of the mapping, if there are any.
func (p *Proxy) Start() error {
	if len(p.mapping) > 0 {
		p.watching.Go(p.watch)
	}
	return nil
}

// Close ends requests that still run, closes idle connections and waits for what Start
// began.
func (p *Proxy) Close() error {
	p.end()
	p.watching.Wait()
	p.transport.CloseIdleConnections()
	return nil
}

// PerConnection is how many requests of one device may be under way.
func (p *Proxy) PerConnection() int { return p.opt.PerConnection }

func (p *Proxy) allows(o origin) bool {
	for _, r := range p.rules {
		if r.allows(o) {
			return true
		}
	}
	return false
}

// timeout is how long a request may take that wishes for so long.
func (p *Proxy) timeout(wish time.Duration) time.Duration {
	if wish <= 0 {
		return p.opt.Timeout
	}
	return min(wish, p.opt.MaxTimeout)
}

// enter finds room for a request to the destination, nil if there is none. One that
// answers slowly gets half of the queue, so that others are served still.
func (p *Proxy) enter(to origin) *hostCalls {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[to]
	if p.admitted >= p.opt.Workers+p.opt.Queue || h != nil && h.admitted >= p.opt.PerHost+max(1, p.opt.Queue/2) {
		return nil
	}
	if h == nil {
		h = &hostCalls{slots: make(chan struct{}, p.opt.PerHost)}
		p.hosts[to] = h
	}
	h.admitted++
	p.admitted++
	return h
}

func (p *Proxy) leave(to origin, h *hostCalls) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitted--
	if h.admitted--; h.admitted == 0 {
		delete(p.hosts, to)
	}
}
