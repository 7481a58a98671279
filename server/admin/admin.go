package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/store"
)

// Bounds of the console.
const (
	maxSessions = 32               // connections at a time; one more is closed
	maxLine     = 8192             // bytes of a line, MPush's limit; a longer one is skipped
	idleTime    = 10 * time.Minute // silence after which a connection is closed
	writeTime   = 10 * time.Second // to take an answer
	callTime    = 10 * time.Second // for the store, or for a push to end
	maxAttempts = 3                // wrong passwords on a connection
)

// Node is what the console shows and does; [server.Node] is one.
type Node interface {
	Info() cluster.Info
	Drain(rate int)
	Ready() error
}

// Options are what a [Console] needs. Everything but Password is required.
type Options struct {
	Listen   string // host:port
	Password string // asked for before anything else; without one Listen must be loopback
	Node     Node
	PublicIP string // names the online list that "count online" counts
	Router   *cluster.Router
	Store    store.Store
	Ledger   *ledger.Ledger
	// Setting is the value of a setting, or of all below a section, secrets masked;
	// of all settings for an empty key. false if there is none of that name.
	Setting func(key string) (string, bool)
	// Shutdown asks the process to end in order.
	Shutdown func()
	Metrics  *exporter.Metrics
	Logger   *slog.Logger
	Now      func() time.Time // nil means [time.Now]
}

// Console serves operators. Make one with [New].
type Console struct {
	options  Options
	listener net.Listener
	password [sha256.Size]byte
	commands map[string]command
	started  time.Time

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// New binds the address. It refuses one that other machines can reach unless there is
// a password.
func New(o Options) (*Console, error) {
	address, err := net.ResolveTCPAddr("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("node.listen.admin: %w", err)
	}
	if o.Password == "" && !address.IP.IsLoopback() {
		return nil, fmt.Errorf("node.listen.admin: %s can be reached from other machines: set security.admin_password_file, or listen on 127.0.0.1", o.Listen)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("node.listen.admin: %w", err)
	}
	c := &Console{
		options: o, password: sha256.Sum256([]byte(o.Password)), commands: byName(), started: o.Now(), open: map[net.Conn]struct{}{},
		listener: exporter.NewListener(l, exporter.ListenerOptions{Port: "admin", Metrics: o.Metrics, Logger: o.Logger}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Addr is the address that was bound.
func (c *Console) Addr() net.Addr { return c.listener.Addr() }

// Start serves. It returns at once.
func (c *Console) Start() { c.tasks.Go(c.accept) }

// Stop ends all sessions and waits until nothing of the console runs, or until ctx ends.
func (c *Console) Stop(ctx context.Context) error {
	c.cancel()
	_ = c.listener.Close()
	c.mu.Lock()
	for nc := range c.open {
		_ = nc.Close()
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { c.tasks.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping the admin console: %w", context.Cause(ctx))
	}
}

func (c *Console) accept() {
	for {
		nc, err := c.listener.Accept()
		if err != nil {
			return
		}
		if !c.admit(nc) {
			_ = nc.Close()
			continue
		}
		c.tasks.Go(func() {
			defer c.leave(nc)
			if err := newSession(c, nc).run(); err != nil && !errors.Is(err, net.ErrClosed) {
				c.options.Logger.Debug("admin session ended", "peer", nc.RemoteAddr().String(), "err", err)
			}
		})
	}
}

// admit enters a connection if there is room.
func (c *Console) admit(nc net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxSessions || c.ctx.Err() != nil {
		return false
	}
	c.open[nc] = struct{}{}
	return true
}

func (c *Console) leave(nc net.Conn) {
	c.mu.Lock()
	delete(c.open, nc)
	c.mu.Unlock()
	_ = nc.Close()
}

// knows tells whether a password is the right one, in a time that tells nothing.
func (c *Console) knows(password string) bool {
	sum := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(sum[:], c.password[:]) == 1
}
