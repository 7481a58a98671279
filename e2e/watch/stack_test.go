//go:build linux

package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// stack is everything that runs.
type stack struct {
	lapse   lapse
	began   time.Time // when the first process was started
	net     *network
	secrets string // the folder that init-secrets made

	redis      *backing.Redis
	zookeeper  *backing.ZooKeeper
	nodes      []*node
	allocators []*allocator
	devices    *devices

	leader, follower1, follower2 *prometheus
	alertmanager, bridge         *watcher
	nodeExporter, redisExporter  *watcher
	blackbox                     *watcher
	thirdZooKeeper               *backing.Proxy // one of three addresses that are probed
	redisSeen                    *backing.Proxy // what redis_exporter sees of Redis
	redisHome                    string         // its directory
	dingtalk                     *dingtalktest.Server
	remote                       string      // where DingTalk is
	bridgeConfig                 string      // the file, rendered
	alertmanagerConfig           string      // the same
	rules                        []alertRule // that were shipped, lapsed
	ledger                       *ledger
	results                      *results
	deadmanBack                  time.Time // when the dead man's message was there

	mu    sync.Mutex
	locks map[string]*sync.Mutex // by what a scenario needs for itself
}

// startStack starts everything and waits until it stands and nothing is wrong.
func startStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{lapse: lapseOfEnvironment(t), net: newNetwork(t), locks: make(map[string]*sync.Mutex), results: new(results)}
	s.secrets = filepath.Join(t.TempDir(), "secrets")
	if out, err := exec.Command(fanfare, "init-secrets", s.secrets).CombinedOutput(); err != nil {
		t.Fatalf("init-secrets: %v\n%s", err, out)
	}
	s.began = time.Now()
	s.startStores(t)
	s.startCluster(t)
	s.startExporters(t)
	s.startGrafanas(t)
	s.startAlerting(t)
	s.startPrometheus(t)
	eventually(t, "the leader has a federated sample", func() string {
		return unless(len(s.leader.query(t, `{__name__=~"cluster:fanfare_.+"}`)) > 0, "it has none")
	})
	t.Logf("cold start until the first federated sample: %.1f s", time.Since(s.began).Seconds())
	s.devices = connectDevices(t, s)
	eventually(t, "everything is scraped and quiet", s.unsettled)
	t.Logf("the stack stands after %.1f s; resident memory: %s", time.Since(s.began).Seconds(), s.memory())
	return s
}

// memory is what each process holds.
func (s *stack) memory() string {
	all := []*process{s.leader.process, s.follower1.process, s.follower2.process, s.alertmanager.process, s.bridge.process,
		s.nodeExporter.process, s.redisExporter.process, s.blackbox.process}
	for _, n := range s.nodes {
		all = append(all, n.process)
	}
	for _, a := range s.allocators {
		all = append(all, a.process)
	}
	var b strings.Builder
	for _, p := range all {
		fmt.Fprintf(&b, "%s %d MB, ", p.name, p.memory()>>20)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// secret reads one that init-secrets made.
func (s *stack) secret(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.secrets, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (s *stack) startStores(t *testing.T) {
	t.Helper()
	s.redis = backing.StartRedis(t, "--requirepass", s.secret(t, "redis/password"), "--maxmemory", "256mb", "--maxmemory-policy", "noeviction",
		"--enable-protected-configs", "local")
	s.redisHome = s.redisDir(t)
	s.zookeeper = backing.StartZooKeeper(t)
}

// renderer is for the files of one client of the network.
func (s *stack) renderer(t *testing.T, client string, paths map[string]string) *renderer {
	t.Helper()
	return &renderer{
		lapse: s.lapse, scrape: s.lapse.interval(15 * time.Second),
		hosts: s.net.names(), paths: paths, proxy: s.net.proxy(t, client),
	}
}

// shipped is a path below configs. One that is not there yet is said by its name.
func shipped(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "configs", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("what ships is not whole: %v", err)
	}
	return path
}

// installed finds a program of a Debian package.
func installed(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install %s", program, program)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", backing.FreePort(t))
}

// unsettled tells what keeps the stack from being whole and quiet.
func (s *stack) unsettled() string {
	for _, p := range []*prometheus{s.leader, s.follower1, s.follower2} {
		if why := p.unscraped(); why != "" {
			return p.name + ": " + why
		}
	}
	for _, p := range []*prometheus{s.leader, s.follower1, s.follower2} {
		for _, a := range p.activeAlerts() {
			if a != "Watchdog" && !ofSlowMachine(a) {
				return p.name + " says " + a
			}
		}
	}
	return ""
}

// ofSlowMachine tells whether an alert, with its labels, may be about the test's machine.
func ofSlowMachine(alert string) bool {
	return slices.ContainsFunc(slowMachine, func(name string) bool { return strings.Contains(alert, "alertname:"+name+" ") })
}

// eventually polls until what is missing is nothing.
func eventually(t testing.TB, what string, missing func() string) {
	t.Helper()
	within(t, patience, what, missing)
}

// within is eventually with a deadline of its own.
func within(t testing.TB, limit time.Duration, what string, missing func() string, details ...func() string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			for _, d := range details {
				m += d()
			}
			t.Fatalf("waited %v in vain for: %s: %s", limit, what, m)
		}
	}
}

// unless is for eventually: nothing if ok, else the text.
func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
