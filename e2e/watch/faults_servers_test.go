//go:build linux

package watch

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// serverFaults are about Redis and ZooKeeper while they are there.
func serverFaults() []scenario {
	return []scenario{
		{
			name: "more connections come to Redis than it takes", how: "CONFIG SET maxclients for a moment, and connections", alerts: []string{"RedisRejectsConnections"},
			names: []string{"redis"}, needs: []string{"redis"}, window: 5 * time.Minute,
			inject: func(t *testing.T, s *stack) { s.crowdRedis(t) },
			repair: func(*testing.T, *stack) {}, // they are gone
		},
		{
			name: "one of three addresses of ZooKeeper does not answer", how: "its network breaks; all three lead to one server", alerts: []string{"ZooKeeperServerDown"},
			labels: map[string]string{"instance": "zookeeper-3:2181"}, names: []string{"zookeeper-3"},
			inject: func(_ *testing.T, s *stack) { s.thirdZooKeeper.Break() },
			repair: func(_ *testing.T, s *stack) { s.thirdZooKeeper.Heal() },
		},
	}
}

// crowdRedis has more connections come to Redis than there is room for, until it turned
// one away. That is over before anybody else wants one, as a rule.
func (s *stack) crowdRedis(t *testing.T) {
	t.Helper()
	const room = 20
	c := s.redisClient(t)
	defer c.Close()
	settings, err := c.ConfigGet(t.Context(), "maxclients").Result()
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ConfigSet(t.Context(), "maxclients", strconv.Itoa(strings.Count(list, "\n")+room)).Err(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.ConfigSet(t.Context(), "maxclients", settings["maxclients"]).Err(); err != nil {
			t.Error(err)
		}
	}()
	for range 2 * room {
		conn, err := net.DialTimeout("tcp", s.redis.Addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil && strings.Contains(line, "max number of clients") {
			return
		}
	}
	t.Fatal("Redis turned nobody away")
}

// zooKeeperTarget is the line of Prometheus's configuration that has the address.
var zooKeeperTarget = regexp.MustCompile(`(?m)^(\s*- )zookeeper:2181$`)

// probeZooKeepers gives ZooKeeper two more addresses, of which follower-2's configuration
// learns before it starts. The third is for a scenario to break.
func (s *stack) probeZooKeepers(t *testing.T) {
	t.Helper()
	s.thirdZooKeeper = backing.StartProxy(t, s.zookeeper.Addr)
	s.net.add("zookeeper-2:2181", s.zookeeper.Addr)
	s.net.add("zookeeper-3:2181", s.thirdZooKeeper.Addr)
	path := filepath.Join(s.follower2.config, "prometheus.yml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	more := zooKeeperTarget.ReplaceAllString(string(text), "$0\n${1}zookeeper-2:2181\n${1}zookeeper-3:2181")
	if more == string(text) {
		t.Fatalf("%s has no line with zookeeper:2181", path)
	}
	writeFile(t, path, more)
}
