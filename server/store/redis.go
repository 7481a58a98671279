package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/fanfare-push/fanfare/exporter"
)

// Keys and channels. Those of mp and /mpush are MPush's (PROTOCOL section 5); those
// that start with ff are ours alone.
const (
	routePrefix   = "mp:ur:"
	sessionPrefix = "mp:rs:"
	listPrefix    = "mp:oul:"
	taskPrefix    = "mp:pt"
	reachedSuffix = ":sui"
	leasePrefix   = "ff:lease:"
	pingKey       = "ff:ping"

	onlineChannel  = "/mpush/online/"
	offlineChannel = "/mpush/offline/"
	kickChannel    = "/mpush/kick/"
)

// The ways to reach Redis that [RedisOptions] know.
const (
	ModeSingle   = "single"
	ModeSentinel = "sentinel"
	ModeCluster  = "cluster"
)

const (
	// DefaultRedisTimeout bounds each call unless RedisOptions say otherwise.
	DefaultRedisTimeout = 2 * time.Second
	// chunk is how many commands go into one round trip at most.
	chunk = 500
)

// RedisOptions say where Redis is.
type RedisOptions struct {
	// Mode is [ModeSingle] (also if empty), [ModeSentinel] or [ModeCluster].
	Mode string
	// Addresses are host:port of the server, of the sentinels or of some servers of
	// the cluster.
	Addresses []string
	// Master is the name under which the sentinels know the master.
	Master string
	// Username and Password log in; an empty name is Redis's default user. With
	// sentinels they are for the servers, not for the sentinels.
	Username, Password string
	// DB is the number of the database. MPush uses 0, a cluster has no other.
	DB int
	// TLS encrypts the connections; nil: plain text.
	TLS *tls.Config
	// Timeout bounds each call, and each round trip of those that take several, with
	// everything that it waits for. 0: DefaultRedisTimeout.
	Timeout time.Duration
	// PoolSize bounds the connections to each server, without the one that listens
	// to kicks. 0: ten for each processor.
	PoolSize int
	// Logger hears of values that cannot be read and of kicks that are not heard;
	// nil: nobody.
	Logger *slog.Logger
	// Metrics count what the logger hears; nil: nobody does.
	Metrics *exporter.Metrics
	// Now is the clock; nil: [time.Now].
	Now func() time.Time
}

// Redis is the store of a cluster. Its keys, values and channels are MPush's, so
// that Java nodes and back ends share it. It works with a single server, a master
// that sentinels watch, and a Redis Cluster: each script touches one key.
//
// No call waits longer than Options.Timeout for a server; calls fail while there is
// none and work again as soon as there is one. What may be done twice is tried
// again within that time; PutRoute, DropRoute, Task and TaskReached are not, so one
// of them that fails may have been done or not.
type Redis struct {
	client  redis.UniversalClient
	cluster bool
	secret  string // never shown
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	said    said
	metrics *exporter.Metrics

	life      context.Context // ends with Close
	end       context.CancelFunc
	listeners listeners
}

// OpenRedis checks the options and returns the store. Redis need not be up: what is
// wrong with it is for Ping to say.
func OpenRedis(o RedisOptions) (*Redis, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	logging.Disable() // it writes to stderr what the returned errors say
	s := &Redis{
		cluster: o.Mode == ModeCluster, secret: o.Password, timeout: o.Timeout,
		now: o.Now, log: o.Logger, metrics: o.Metrics,
	}
	if s.timeout == 0 {
		s.timeout = DefaultRedisTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.client = s.dial(o)
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// check names the setting that is wrong.
func (o *RedisOptions) check() error {
	switch {
	case o.Mode != "" && o.Mode != ModeSingle && o.Mode != ModeSentinel && o.Mode != ModeCluster:
		return fmt.Errorf("store.redis.mode is %q: want single, sentinel or cluster", o.Mode)
	case len(o.Addresses) == 0:
		return errors.New("store.redis.addresses is empty: want host:port")
	case o.Mode == ModeSentinel && o.Master == "":
		return errors.New("store.redis.master is empty: mode sentinel needs the name that the sentinels give the master")
	case o.Mode != ModeSentinel && o.Master != "":
		return fmt.Errorf("store.redis.master is %q: only mode sentinel has a master", o.Master)
	case (o.Mode == "" || o.Mode == ModeSingle) && len(o.Addresses) > 1:
		return errors.New("store.redis.addresses names several servers: mode single takes one, others are sentinel and cluster")
	case o.DB < 0 || o.DB > 0 && o.Mode == ModeCluster:
		return fmt.Errorf("store.redis.db is %d: want 0 or, outside a cluster, a positive number", o.DB)
	case o.Username != "" && o.Password == "":
		return errors.New("store.redis.username is set: it needs store.redis.password")
	case o.Timeout < 0 || o.PoolSize < 0:
		return fmt.Errorf("store.redis: timeout %v and pool size %d must not be negative", o.Timeout, o.PoolSize)
	}
	for _, address := range o.Addresses {
		if _, port := splitAddress(address); port < 1 || port > 65535 {
			return fmt.Errorf("store.redis.addresses has %q: want host:port", address)
		}
	}
	return nil
}

// dial makes the client; it connects when it is used.
func (s *Redis) dial(o RedisOptions) redis.UniversalClient {
	u := &redis.UniversalOptions{
		Addrs: o.Addresses, MasterName: o.Master, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		Protocol: 2, DisableIdentity: true, // Redis 5 and later will do
		DialTimeout: s.timeout, ReadTimeout: s.timeout, WriteTimeout: s.timeout, PoolTimeout: s.timeout,
		ContextTimeoutEnabled: true, DialerRetries: 1,
		MaxRetries: 2, MinRetryBackoff: 20 * time.Millisecond, MaxRetryBackoff: 200 * time.Millisecond,
		PoolSize: o.PoolSize, PipelinePoolSize: -1, ConnMaxIdleTime: 5 * time.Minute,
		FailingTimeoutSeconds: 1,
	}
	if u.PoolSize == 0 {
		u.PoolSize = 10 * runtime.GOMAXPROCS(0)
	}
	u.MaxActiveConns = u.PoolSize
	switch o.Mode {
	case ModeSentinel:
		return redis.NewFailoverClient(u.Failover())
	case ModeCluster:
		c := u.Cluster()
		c.MaxRedirects = 5
		return redis.NewClusterClient(c)
	default:
		return redis.NewClient(u.Simple())
	}
}

// call bounds one round trip and says what was being done if it fails.
func (s *Redis) call(ctx context.Context, what string, do func(context.Context) error) error {
	if s.life.Err() != nil {
		return ErrClosed
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.failed(ctx, what, do(bounded))
}

// Ping writes a small key, so that it also finds a server that only answers reads,
// and in a cluster asks every master.
func (s *Redis) Ping(ctx context.Context) error {
	return s.call(ctx, "ping", func(ctx context.Context) error {
		if err := s.client.Set(ctx, pingKey, s.now().UnixMilli(), time.Minute).Err(); err != nil {
			return err
		}
		if c, ok := s.client.(*redis.ClusterClient); ok {
			return c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error { return m.Ping(ctx).Err() })
		}
		return nil
	})
}

// Close ends all connections and waits for functions that Kicks has called. Further
// calls return nil; other methods return ErrClosed.
func (s *Redis) Close() error {
	s.end()
	s.listeners.wait()
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// unreadable collects the values of one call that are not what their key promises.
type unreadable struct {
	kind  exporter.StoreValue
	count int
	key   string // of the first
	err   error
}

func (u *unreadable) add(key string, err error) {
	if u.count++; u.count == 1 {
		u.key, u.err = key, err
	}
}

// said keeps lines that every call could cause from flooding the log.
type said struct {
	unreadable    [exporter.NumStoreValues]exporter.Seldom
	list, refused exporter.Seldom // a list that was not kept, an announcement that is not allowed
}

// note counts what could not be read and logs it, one line for each kind now and then.
func (s *Redis) note(u *unreadable) {
	if u.count == 0 {
		return
	}
	if s.metrics != nil {
		s.metrics.StoreUnreadable(u.kind).Add(float64(u.count))
	}
	s.said.unreadable[u.kind].Warn(s.log, "a value in Redis cannot be read and counts as absent",
		"kind", u.kind.String(), "key", u.key, "why", u.err, "values", u.count)
}

// listeners are the goroutines of Kicks. None starts after wait.
type listeners struct {
	mu     sync.Mutex
	closed bool
	all    sync.WaitGroup
}

func (l *listeners) start(run func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.all.Go(run)
	}
	return !l.closed
}

func (l *listeners) wait() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.all.Wait()
}
