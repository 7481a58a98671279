//go:build linux

package limits

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// part is a "fanfare node" or a "fanfare alloc" of a cluster.
type part struct {
	*product
	http string // where it says whether it is ready
}

// startPart starts the program and does not wait.
func startPart(t *testing.T, command, http string, settings []string) *part {
	t.Helper()
	return &part{product: start(t, fanfare, arguments(command, settings)...), http: http}
}

func arguments(command string, settings []string) []string {
	args := []string{command}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	return args
}

// surroundings are the servers that a cluster needs. Tests that share them differ in
// their namespaces.
type surroundings struct{ redis, zookeeper, namespace string }

func (s surroundings) settings(more ...string) []string {
	return append([]string{
		"store.kind=redis", "store.redis.addresses=" + s.redis, "store.redis.timeout=1s",
		"registry.kind=zookeeper", "registry.zookeeper.servers=" + s.zookeeper, "registry.zookeeper.namespace=" + s.namespace,
		"registry.zookeeper.session_timeout=2s",
	}, more...)
}

// node are the settings of a node without the ports that are not needed here.
func (s surroundings) node(t *testing.T, id, device, ops string, more ...string) []string {
	t.Helper()
	return s.settings(append([]string{
		"node.id=" + id, "node.listen.device=" + device, "node.listen.websocket=", "node.listen.admin=",
		"node.listen.gateway=" + backing.FreeAddress(t), "node.listen.ops=" + ops, "security.private_key_file=" + absoluteKey(t),
	}, more...)...)
}

func (s surroundings) startNode(t *testing.T, id string, more ...string) *part {
	t.Helper()
	device, ops := backing.FreeAddress(t), backing.FreeAddress(t)
	p := startPart(t, "node", ops, s.node(t, id, device, ops, more...))
	p.device, p.ops = device, ops
	return p
}

func (s surroundings) startAllocator(t *testing.T, more ...string) *part {
	t.Helper()
	address := backing.FreeAddress(t)
	p := startPart(t, "alloc", address, s.settings(append([]string{"alloc.listen=" + address}, more...)...))
	p.alloc, p.ops = address, address
	return p
}

// ready asks the process; the text says what is missing.
func (p *part) ready(t *testing.T) (ok bool, text string) {
	t.Helper()
	code, text, err := fetch(t, http.MethodGet, "http://"+p.http+"/-/ready", "")
	if err != nil {
		p.alive(t)
		return false, err.Error()
	}
	return code == http.StatusOK, text
}

func (p *part) becomesReady(t *testing.T) {
	t.Helper()
	eventually(t, "it is ready", func() bool { ok, _ := p.ready(t); return ok })
}

// isNotReady waits until the process says that something is missing, with all texts.
func (p *part) isNotReady(t *testing.T, texts ...string) {
	t.Helper()
	var said string
	eventually(t, fmt.Sprint("it says on /-/ready ", texts), func() bool {
		var ok bool
		ok, said = p.ready(t)
		return !ok && holdsAll(said, texts)
	})
}

func holdsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// complaints are the lines of the log that somebody is to look at.
func (p *part) complaints() (lines []string) {
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return lines
}

// complains wants one line of the log with all texts, and few others.
func (p *part) complains(t *testing.T, most int, texts ...string) {
	t.Helper()
	eventually(t, fmt.Sprint("it logs ", texts), func() bool {
		for _, line := range p.complaints() {
			if holdsAll(line, texts) {
				return true
			}
		}
		return false
	})
	if lines := p.complaints(); len(lines) > most {
		t.Errorf("%d lines, want at most %d:\n%s", len(lines), most, strings.Join(lines, ""))
	}
}

// TestStartWithoutZooKeeper starts processes that ZooKeeper does not take, or that do
// not find it. A node that cannot be announced ends, an allocator goes on asking.
func TestStartWithoutZooKeeper(t *testing.T) {
	t.Parallel()
	here := surroundings{backing.StartRedis(t).Addr, backing.StartZooKeeper(t).Addr, "mpush"}
	first := here.startNode(t, "node-1")
	first.becomesReady(t)

	t.Run("two nodes with one id", func(t *testing.T) {
		t.Parallel()
		r := runToEnd(t, fanfare, append(arguments("node", here.node(t, "node-1", "127.0.0.1:0", "")), "--log.level=error")...)
		wantLine(t, r, 1, "node-1", "is held by the node with gateway 127.0.0.1:", fmt.Sprint("process ", first.process.Process.Pid), "node.id")
		first.alive(t)
		if ok, why := first.ready(t); !ok {
			t.Errorf("the first is not ready any more: %s", why)
		}
	})
	t.Run("a node with another digest", func(t *testing.T) {
		t.Parallel()
		r := runToEnd(t, fanfare, append(arguments("node", here.node(t, "node-2", "127.0.0.1:0", "", "registry.zookeeper.digest=some:secret")), "--log.level=error")...)
		lines := strings.SplitAfter(r.stderr, "\n")
		if r.code != 1 || len(lines) > 3 || !strings.HasPrefix(lines[len(lines)-2], "fanfare: ") || strings.Contains(r.stderr, "secret") ||
			strings.Count(r.stderr, "registry.zookeeper.digest") != len(lines)-1 {
			t.Errorf("it ends with %d:\n%s", r.code, r.stderr)
		}
	})
	t.Run("an allocator with another digest", func(t *testing.T) {
		t.Parallel()
		a := here.startAllocator(t, "registry.zookeeper.digest=some:secret")
		a.isNotReady(t, "registry", "registry.zookeeper.digest")
		a.complains(t, 1, "level=ERROR", "registry.zookeeper.digest")
		if code, text, err := fetch(t, http.MethodGet, "http://"+a.alloc+"/", ""); err != nil || code != http.StatusServiceUnavailable {
			t.Errorf("devices are told %d %s, %v", code, text, err)
		}
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		away := here
		away.zookeeper = backing.FreeAddress(t)
		a, n := away.startAllocator(t), away.startNode(t, "node-3")
		for _, p := range []*part{a, n} {
			p.isNotReady(t, "registry", "registry.zookeeper.servers", away.zookeeper, "refused")
			p.complains(t, 1, "level=ERROR", "registry.zookeeper.servers", away.zookeeper)
		}
		// The node waits for a minute. Asked to end meanwhile, it does so in order, which
		// product.stop looks at.
		eventually(t, "the node waits", func() bool { return n.logged("waiting for the registry", "1m") == 1 })
	})
}
