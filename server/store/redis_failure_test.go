package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

func TestOpenRedisRefuses(t *testing.T) {
	one := []string{"127.0.0.1:6379"}
	for key, o := range map[string]RedisOptions{
		"store.redis.mode":            {Mode: "ring", Addresses: one},
		"store.redis.addresses":       {},
		"several servers":             {Addresses: []string{"a:1", "b:1"}},
		"host:port":                   {Addresses: []string{"localhost"}},
		"want host:port":              {Mode: ModeCluster, Addresses: []string{"a:1", "b:x"}},
		"store.redis.master is empty": {Mode: ModeSentinel, Addresses: one},
		`store.redis.master is "m"`:   {Addresses: one, Master: "m"},
		"store.redis.db":              {Mode: ModeCluster, Addresses: one, DB: 1},
		"store.redis.db is -1":        {Addresses: one, DB: -1},
		"store.redis.username":        {Addresses: one, Username: "u"},
		"negative":                    {Addresses: one, PoolSize: -1},
	} {
		s, err := OpenRedis(o)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: opened", key)
		} else if !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v does not say %q", err, key)
		}
	}
}

// TestBadRedis asks for one line with the setting to look at and without secrets.
func TestBadRedis(t *testing.T) {
	t.Parallel()
	const secret, wrong = "right-password", "wrong-password"
	open := backing.StartRedis(t)
	locked := backing.StartRedis(t)
	locked.Do("ACL", "SETUSER", "weak", "on", ">"+wrong, "~other:*", "&*", "+@all")
	locked.Do("ACL", "SETUSER", "dumb", "on", ">"+wrong, "~*", "&*", "+@all", "-eval", "-evalsha")
	locked.Do("CONFIG", "SET", "requirepass", secret)
	host, port, _ := net.SplitHostPort(open.Addr)
	replica := backing.StartRedis(t, "--replicaof", host+" "+port)
	full := backing.StartRedis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	member := backing.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(backing.FreePort(t)))
	nobody := net.JoinHostPort("127.0.0.1", strconv.Itoa(backing.FreePort(t)))
	at := func(server *backing.Redis) []string { return []string{server.Addr} }
	for name, test := range map[string]struct {
		o    RedisOptions
		want string
	}{
		"wrong password":    {RedisOptions{Addresses: at(locked), Password: wrong}, "store.redis.password"},
		"wrong user":        {RedisOptions{Addresses: at(locked), Username: "nobody", Password: wrong}, "store.redis.username"},
		"no password":       {RedisOptions{Addresses: at(locked)}, "set store.redis.password"},
		"no permission":     {RedisOptions{Addresses: at(locked), Username: "weak", Password: wrong}, "store.redis.username needs"},
		"no scripts":        {RedisOptions{Addresses: at(locked), Username: "dumb", Password: wrong}, "store.redis.username needs"},
		"replica":           {RedisOptions{Addresses: at(replica)}, "store.redis.mode sentinel"},
		"full":              {RedisOptions{Addresses: at(full)}, "maxmemory"},
		"database":          {RedisOptions{Addresses: at(open), DB: 99}, "store.redis.db"},
		"no cluster":        {RedisOptions{Mode: ModeCluster, Addresses: at(open)}, "store.redis.mode"},
		"cluster of none":   {RedisOptions{Mode: ModeCluster, Addresses: at(member)}, "slots"},
		"single of cluster": {RedisOptions{Addresses: at(member)}, "slots"},
		"no sentinel":       {RedisOptions{Mode: ModeSentinel, Master: "m", Addresses: at(open)}, "store.redis.master"},
		"no TLS":            {RedisOptions{Addresses: at(open), Timeout: 300 * time.Millisecond, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "store.redis.tls"},
		"nobody":            {RedisOptions{Addresses: []string{nobody}}, "store.redis.addresses"},
		"nobody of cluster": {RedisOptions{Mode: ModeCluster, Addresses: []string{nobody}}, "store.redis.addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openRedis(t, test.o)
			_, _, err := s.PutRoute(t.Context(), "u", testRoute(newClock(), "c"))
			ping := s.Ping(t.Context())
			if name == "no scripts" {
				ping = err
			}
			for _, err := range []error{err, ping} {
				text := fmt.Sprint(err)
				if err == nil || !strings.Contains(Explain(err), test.want) || !strings.Contains(text, test.want) {
					t.Errorf("%s: %q does not say %q", text, Explain(err), test.want)
				}
				if strings.Contains(text, wrong) || strings.Contains(text, secret) || strings.Contains(text, "\n") {
					t.Errorf("%q", text)
				}
			}
		})
	}
	if Explain(errors.New("other")) != "" || Explain(nil) != "" {
		t.Error("an explanation without a cause")
	}
}

// A server may repeat what it was sent.
func TestErrorsHideThePassword(t *testing.T) {
	s := openRedis(t, RedisOptions{Addresses: []string{"127.0.0.1:1"}, Password: "hunter2"})
	err := s.failed(t.Context(), "ping", errors.New("ERR unknown command 'AUTH', with args beginning with: 'hunter2'"))
	if text := err.Error(); strings.Contains(text, "hunter2") || !strings.Contains(text, "unknown command") {
		t.Error(text)
	}
}

func TestAnnouncementsThatAreNotAllowed(t *testing.T) {
	server := backing.StartRedis(t)
	server.Do("ACL", "SETUSER", "mute", "on", ">pw", "~*", "resetchannels", "+@all")
	var logged lockedBuffer
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Username: "mute", Password: "pw", Logger: logTo(&logged)})
	r := testRoute(newClock(), "c1")
	mustPut(t, s, "u", r)
	wantRoutes(t, s, "u", r)
	wantDrop(t, s, "u", r.ClientType, "c1", true)
	for range 20 {
		mustPut(t, s, "u", r)
	}
	if n := strings.Count(logged.String(), "announce"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
	stop := s.Kicks("127.0.0.1:1", func(Kick) {}, func() { t.Error("joined without the right to") })
	defer stop()
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(logged.String(), "store.redis.username needs") })
}

// TestForeignValues puts values where ours belong that are something else.
func TestForeignValues(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	for name, spoil := range map[string]func(key string){
		"no JSON":    func(key string) { server.Do("HSET", key, "1", `{"deviceId":"a"b","connId":"c1"}`) },
		"no object":  func(key string) { server.Do("HSET", key, "1", `["connId"]`) },
		"wrong type": func(key string) { server.Do("SET", key, "x") },
		"wrong kind": func(key string) { server.Do("HSET", key, "1", `{"connId":7,"port":"x"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("FLUSHALL")
			var logged lockedBuffer
			metrics := exporter.New(prometheus.NewRegistry())
			s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now, Logger: logTo(&logged), Metrics: metrics})
			for _, user := range []string{"read", "dropped", "put", "restored"} {
				spoil("mp:ur:" + user)
			}
			wantRoutes(t, s, "read")
			if n := testutil.ToFloat64(metrics.StoreUnreadable(exporter.ValueRoute)); n != 1 {
				t.Errorf("counted %v", n)
			}
			if n := strings.Count(logged.String(), "mp:ur:read"); n != 1 {
				t.Errorf("logged %d times: %s", n, logged.String())
			}
			wantDrop(t, s, "dropped", testRoute(c, "c1").ClientType, "c1", false)
			if report := mustSweep(t, s, 0, "10.0.0.1", func(string, Route) bool { return true }); report.Stale != 0 {
				t.Errorf("%+v", report)
			}
			if old, had := mustPut(t, s, "put", testRoute(c, "c1")); had {
				t.Errorf("replaced %+v", old)
			}
			wantRoutes(t, s, "put", testRoute(c, "c1"))
			if taken := mustRestore(t, s, UserRoute{"restored", testRoute(c, "c1")}); len(taken) != 0 {
				t.Error(taken)
			}
			wantRoutes(t, s, "restored", testRoute(c, "c1"))
		})
	}
}

func TestForeignSessionsAndLists(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	var logged lockedBuffer
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now, Logger: logTo(&logged), Metrics: metrics})
	server.Do("SET", "mp:rs:text", "android,a,b,6,2,d,1|2,3|4")
	server.Do("HSET", "mp:rs:hash", "a", "b")
	wantSession(t, s, "text", Session{}, false)
	wantSession(t, s, "hash", Session{}, false)
	for range 20 { // as under load
		wantSession(t, s, "text", Session{}, false)
	}
	if n := testutil.ToFloat64(metrics.StoreUnreadable(exporter.ValueSession)); n != 22 {
		t.Errorf("counted %v", n)
	}
	if n := strings.Count(logged.String(), "cannot be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
	mustSave(t, s, "hash", testSession(c))
	wantSession(t, s, "hash", testSession(c), true)

	server.Do("SET", "mp:oul:10.0.0.1", "x") // the routes go on
	mustPut(t, s, "u", testRoute(c, "c1"))
	wantRoutes(t, s, "u", testRoute(c, "c1"))
	wantDrop(t, s, "u", testRoute(c, "c1").ClientType, "c1", true)
	if n := strings.Count(logged.String(), "was not kept"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
	if _, err := s.OnlineUsers(t.Context(), "10.0.0.1"); !strings.Contains(Explain(err), "another type") {
		t.Error(err)
	}
	if strings.Contains(logged.String(), "1|2") {
		t.Error("a key was logged")
	}
}

// bounded fails if a call does not end in some time over its timeout.
func bounded(t testing.TB, call func(context.Context) error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- call(t.Context()) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(15 * time.Second):
		t.Fatal("the call does not end")
		return nil
	}
}

func TestPausedRedis(t *testing.T) {
	t.Parallel()
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Timeout: 200 * time.Millisecond, PoolSize: 3, Now: c.Now})
	mustPut(t, s, "another", testRoute(c, "c1")) // what was given up may be done when the server goes on
	server.Pause()
	for name, call := range calls(s, c) {
		err := bounded(t, call)
		if Explain(err) == "" || !strings.Contains(fmt.Sprint(err), "in time") {
			t.Errorf("%s: %v", name, err)
		}
	}
	failing := make(chan error, 30) // more than the pool has connections
	for range cap(failing) {
		go func() { _, err := s.Routes(t.Context(), "u"); failing <- err }()
	}
	for range cap(failing) {
		if err := bounded(t, func(context.Context) error { return <-failing }); err == nil {
			t.Error("a paused server answered")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Routes(ctx, "u"); !errors.Is(err, context.DeadlineExceeded) || Explain(err) != "" {
		t.Errorf("the caller's deadline: %v", err)
	}
	server.Resume()
	eventually(t, "the store works again", func() bool { return s.Ping(t.Context()) == nil })
	wantRoutes(t, s, "another", testRoute(c, "c1"))
}

func TestRestartedRedis(t *testing.T) {
	for name, args := range map[string][]string{"without data": nil, "with data": {"--appendonly", "yes", "--appendfsync", "always"}} {
		t.Run(name, func(t *testing.T) {
			server := backing.StartRedis(t, args...)
			c := newClock()
			s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
			r := testRoute(c, "c1")
			mustPut(t, s, "u", r)
			mustSave(t, s, testID, testSession(c))
			server.Kill()
			if err := s.Ping(t.Context()); !strings.Contains(Explain(err), "store.redis.addresses") {
				t.Error(err)
			}
			server.Restart()
			eventually(t, "the store works again", func() bool { return s.Ping(t.Context()) == nil })
			kept := args != nil
			wantSession(t, s, testID, testSession(c), kept)
			if !kept {
				wantRoutes(t, s, "u")
				wantOnline(t, s, 0)
			}
			mustRestore(t, s, UserRoute{"u", r}) // the server has lost its scripts, too
			wantRoutes(t, s, "u", r)
			wantOnline(t, s, 1)
		})
	}
}

// A server forgets its scripts when it restarts or fails over, or when it is told to.
func TestLostScripts(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	var all []UserRoute
	for i := range 20 {
		all = append(all, UserRoute{fmt.Sprint("u", i), testRoute(c, fmt.Sprint("c", i))})
	}
	flush := func() { server.Do("SCRIPT", "FLUSH") }
	flush()
	mustRestore(t, s, all...)
	flush()
	if old, had := mustPut(t, s, "u0", testRoute(c, "x")); !had || old.Connection != "c0" {
		t.Errorf("%+v, %v", old, had)
	}
	flush()
	wantDrop(t, s, "u0", testRoute(c, "x").ClientType, "x", true)
	wantOnline(t, s, 19)
	flush()
	if report := mustSweep(t, s, 0, "10.0.0.1", func(string, Route) bool { return true }); report.Stale != 19 {
		t.Errorf("%+v", report)
	}
	wantOnline(t, s, 0)
}

func TestRedisOverTLS(t *testing.T) {
	files, pool := selfSigned(t)
	port := strconv.Itoa(backing.FreePort(t))
	backing.StartRedis(t, append([]string{"--tls-port", port, "--tls-auth-clients", "no", "--requirepass", "pw"}, files...)...)
	address := net.JoinHostPort("127.0.0.1", port)
	s := openRedis(t, RedisOptions{Addresses: []string{address}, Password: "pw", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	e := listen(t, s, "127.0.0.1:3001")
	mustKick(t, s, Kick{User: "u", Address: "127.0.0.1:3001"})
	e.next(t)
	distrustful := openRedis(t, RedisOptions{Addresses: []string{address}, Password: "pw", TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	if err := distrustful.Ping(t.Context()); !strings.Contains(Explain(err), "certificate") {
		t.Error(err)
	}
}

// selfSigned makes a certificate for 127.0.0.1 and the arguments that give it to
// redis-server.
func selfSigned(t testing.TB) (args []string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := write("cert.pem", "CERTIFICATE", der)
	args = []string{"--tls-cert-file", cert, "--tls-key-file", write("key.pem", "PRIVATE KEY", private), "--tls-ca-cert-file", cert}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return args, pool
}
