package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// zkServerScript is where Debian's package puts what starts ZooKeeper.
const zkServerScript = "/usr/share/zookeeper/bin/zkServer.sh"

// stack is a cluster of processes on this machine: some nodes and an allocator, with
// a Redis and a ZooKeeper that are started too unless they are given.
type stack struct {
	dir       string
	redis     string // host:port
	zookeeper string
	nodes     []*target
	alloc     *target
	parts     []*process
}

// openStack starts everything and waits until the allocator names every node.
func (c *Cluster) openStack(ctx context.Context, nodes int) (s *stack, err error) {
	s = &stack{redis: c.Redis, zookeeper: c.ZooKeeper}
	if s.dir, err = os.MkdirTemp("", "fanfare-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory for the cluster: %w", err)
	}
	if err := s.start(ctx, c, nodes); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stack) start(ctx context.Context, c *Cluster, nodes int) error {
	if err := errors.Join(s.startRedis(ctx), s.startZooKeeper(ctx)); err != nil {
		return err
	}
	exe, err := program(c.ServerBinary)
	if err != nil {
		return err
	}
	for i := range nodes {
		if err := s.startNode(ctx, c, exe, i+1); err != nil {
			return err
		}
	}
	if err := s.startAlloc(ctx, c, exe); err != nil {
		return err
	}
	return s.awaitNodes(ctx, nodes)
}

// startRedis runs redis-server without files.
func (s *stack) startRedis(ctx context.Context) error {
	if s.redis != "" {
		return nil
	}
	exe, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not installed; install it, or name a running one with --redis=HOST:PORT")
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.redis = ports[0]
	_, port, _ := net.SplitHostPort(s.redis) // freePorts makes both
	return s.run(ctx, "redis-server", exe, []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", s.dir}, nil)
}

// startZooKeeper runs a server of its own on an empty directory.
func (s *stack) startZooKeeper(ctx context.Context) error {
	if s.zookeeper != "" {
		return nil
	}
	if _, err := os.Stat(zkServerScript); err != nil {
		return errors.New("ZooKeeper is not installed (" + zkServerScript + "); install it, or name a running one with --zookeeper=HOST:PORT")
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.zookeeper = ports[0]
	_, port, _ := net.SplitHostPort(s.zookeeper)
	settings := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%s\nadmin.enableServer=false\n", filepath.Join(s.dir, "zookeeper"), port)
	file := filepath.Join(s.dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return fmt.Errorf("write ZooKeeper's settings: %w", err)
	}
	return s.run(ctx, "ZooKeeper", zkServerScript, []string{"start-foreground", file}, append(os.Environ(), "JMXDISABLE=true", "SERVER_JVMFLAGS=-Xmx192m"))
}

func (s *stack) run(ctx context.Context, name, exe string, args, environ []string) error {
	p, err := startProcess(ctx, name, exe, args, streams{env: environ})
	if err != nil {
		return err
	}
	s.parts = append(s.parts, p)
	return nil
}

// shared are the settings of every process of the cluster.
func (s *stack) shared(c *Cluster) []string {
	return append([]string{
		"store.kind=redis", "store.redis.addresses=" + s.redis,
		"registry.kind=zookeeper", "registry.zookeeper.servers=" + s.zookeeper,
		"security.demo_key=true", "limits.max_heartbeat=1h", "push.broadcast_rate=0", "api.rate=0", "log.level=warn",
	}, c.ServerSet...)
}

func withSettings(command string, settings ...string) []string {
	args := []string{command}
	for _, setting := range settings {
		args = append(args, "--set", setting)
	}
	return args
}

func (s *stack) startNode(ctx context.Context, c *Cluster, exe string, number int) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	t := &target{device: ports[0], gateway: ports[1], ops: ports[2]}
	args := withSettings("node", append(s.shared(c), fmt.Sprintf("node.id=node-%d", number), "node.listen.device="+t.device,
		"node.listen.websocket="+ports[3], "node.listen.gateway="+t.gateway, "node.listen.ops="+t.ops, "node.listen.admin=")...)
	if t.process, err = startServer(ctx, exe, args, c.ServerEnv); err != nil {
		return err
	}
	s.nodes = append(s.nodes, t)
	return t.ready(ctx)
}

func (s *stack) startAlloc(ctx context.Context, c *Cluster, exe string) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	s.alloc = &target{api: ports[0], ops: ports[0]}
	if s.alloc.process, err = startServer(ctx, exe, withSettings("alloc", append(s.shared(c), "alloc.listen="+s.alloc.api)...), c.ServerEnv); err != nil {
		return err
	}
	return s.alloc.ready(ctx)
}

// awaitNodes waits until the allocator's list has count nodes.
func (s *stack) awaitNodes(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("the allocator did not see %d nodes within %v", count, readyPatience))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := get(ctx, "http://"+s.alloc.api+"/")
		if err == nil && len(strings.Split(list, ",")) == count {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("start the cluster: %w", context.Cause(ctx))
		}
	}
}

// get is the text that a URL answers with.
func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close()
	text := new(strings.Builder)
	if _, err := copyBounded(text, response.Body); err != nil {
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	return text.String(), nil
}

// kill ends a node without a word.
func (s *stack) kill(node int) error {
	t := s.nodes[node]
	if err := t.process.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill node %d: %w", node+1, err)
	}
	<-t.process.exited
	return nil
}

// close ends what was started, the nodes first.
func (s *stack) close() {
	for _, t := range append(s.nodes, s.alloc) {
		if t != nil {
			t.close()
		}
	}
	for _, p := range s.parts {
		p.stop()
	}
	_ = os.RemoveAll(s.dir) // the system's temporary directory; what stays does no harm
}
