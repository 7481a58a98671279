package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fanfare-push/fanfare/exporter"
)

// ZooKeeperOptions are what a [ZooKeeper] needs. Servers, Metrics and Logger are required.
type ZooKeeperOptions struct {
	Servers   []string // host:port of any members of the ensemble
	Namespace string   // the node that everything is below; default mpush
	// Digest is the credential that everything is made with, in MPush's form without a
	// colon or as user:password; default mpush.
	Digest string
	// SessionTimeout is how long ZooKeeper waits before it takes a silent node for
	// dead; default 5 s. The servers may allow less than is asked for, or more.
	SessionTimeout time.Duration
	Metrics        *exporter.Metrics
	Logger         *slog.Logger
}

// ZooKeeper is the registry that MPush uses, with its paths, its data and its
// credential, so that Java nodes, back ends and allocators see Fanfare's nodes and the
// other way round. What MPush does not know is kept in attributes that it ignores, and
// below /<namespace>/fanfare.
type ZooKeeper struct {
	options ZooKeeperOptions
	log     *slog.Logger
	paths   zkPaths

	conn     *zk.Conn
	wire     *zkWire
	session  *zkSession
	view     *zkView
	announce *zkAnnouncer
	notifier notifier

	quit    chan struct{}
	work    sync.WaitGroup
	closing sync.Once
}

// OpenZooKeeper makes a registry and returns at once: it connects in the background
// and goes on trying until [ZooKeeper.Close]. A wrong option is an error.
func OpenZooKeeper(o ZooKeeperOptions) (*ZooKeeper, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	z := &ZooKeeper{
		options: o, log: o.Logger, paths: zkPaths{o.Namespace},
		wire: newZKWire(max(o.SessionTimeout*2/3, time.Second)), quit: make(chan struct{}),
	}
	z.session, z.view, z.announce = newZKSession(z), newZKView(z), newZKAnnouncer(z)
	conn, events, err := zk.Connect(o.Servers, o.SessionTimeout,
		zk.WithDialer(z.wire.dial), zk.WithHostProvider(&zkHosts{}), zk.WithEventCallback(z.event),
		zk.WithLogger(zkLog{o.Logger}), zk.WithMaxBufferSize(16<<20), zk.WithMaxConnBufferSize(256<<10))
	if err != nil {
		return nil, fmt.Errorf("registry.zookeeper.servers: %w", err)
	}
	z.conn = conn
	for _, run := range []func(){z.session.run, z.view.run, z.announce.run} {
		z.work.Go(run)
	}
	z.work.Go(func() {
		for range events { // it is closed when the library's goroutines have ended
		}
	})
	return z, nil
}

func (o *ZooKeeperOptions) complete() error {
	if len(o.Servers) == 0 || o.Metrics == nil || o.Logger == nil {
		return errors.New("registry of ZooKeeper: Servers, Metrics and Logger are required")
	}
	if o.Namespace == "" {
		o.Namespace = "mpush"
	}
	o.Namespace = strings.Trim(o.Namespace, "/")
	if o.Namespace == "" || strings.Contains(o.Namespace, "/") || strings.Trim(o.Namespace, ".") == "" {
		return fmt.Errorf("registry.zookeeper.namespace: %q is not the name of one node", o.Namespace)
	}
	if o.Digest == "" {
		o.Digest = "mpush"
	}
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 5 * time.Second
	}
	return nil
}

// event is called by the library for everything that happens and must not block.
func (z *ZooKeeper) event(e zk.Event) {
	switch e.Type {
	case zk.EventSession:
		z.session.changed(e.State)
	case zk.EventNotWatching: // the session expired, which is told of as such
	default:
		z.view.touched(e.Type, e.Path)
		z.announce.touched(e.Path)
	}
}

// Join implements [Registry].
func (z *ZooKeeper) Join(ctx context.Context, self Peer) error { return z.announce.join(ctx, self) }

// Update implements [Registry].
func (z *ZooKeeper) Update(self Peer) { z.announce.update(self) }

// Leave implements [Registry].
func (z *ZooKeeper) Leave(ctx context.Context) error { return z.announce.leave(ctx) }

// Peers implements [Registry].
//
// MPush nodes have no id and three entries that do not name each other. They are put
// together by the ZooKeeper session that made them, and where one session made
// several of a kind, by their host. A device entry whose gateway cannot be told is
// listed as a peer of its own with the device address as its ID and no Gateway, so
// that allocators list it. Of two nodes with one gateway the newer has it, and the
// other is listed without. Nodes that were listed when this process lost its connection
// stay so for a while after it is back, as they may have lost theirs and their sessions.
func (z *ZooKeeper) Peers() (peers []Peer, known bool) { return z.view.peers() }

// Err implements [Registry]. It is also set while somebody else has this node's id.
func (z *ZooKeeper) Err() error {
	for _, err := range []error{z.session.error(), z.view.error(), z.announce.error()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Watch implements [Registry]. Changes that come while changed runs are told of by one
// more call. changed must not call stop or Close.
func (z *ZooKeeper) Watch(changed func()) (stop func()) { return z.notifier.watch(changed) }

// Close implements [Registry]. With the session all entries of this node go. It
// returns when nothing of the registry runs any more, in about 3 s at most.
func (z *ZooKeeper) Close() error {
	z.closing.Do(func() {
		close(z.quit)
		if _, ok := z.session.ready(); !ok {
			z.wire.end() // nobody is there to say goodbye to
		}
		z.conn.Close()
		z.wire.end()
		z.work.Wait()
		z.notifier.close()
		z.options.Metrics.RegistryConnected.Set(0)
	})
	return nil
}

func (z *ZooKeeper) closed() bool {
	select {
	case <-z.quit:
		return true
	default:
		return false
	}
}

// zkLog passes on what the library logs, which repeats what the registry says better.
type zkLog struct{ log *slog.Logger }

// Printf implements zk.Logger.
func (l zkLog) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("ZooKeeper library: " + fmt.Sprintf(format, args...))
	}
}
