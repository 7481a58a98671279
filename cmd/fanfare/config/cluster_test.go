package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func set(pairs ...string) (all []Assignment) {
	for _, pair := range pairs {
		key, text, _ := strings.Cut(pair, "=")
		all = append(all, Assignment{"--set", key, text})
	}
	return all
}

func TestClusterSettings(t *testing.T) {
	inCluster := []string{"store.kind=redis", "registry.kind=zookeeper"}
	for _, c := range []struct {
		name string
		role Role
		set  []string
		want string // part of the problem; empty = none
	}{
		{"a cluster", RoleNode, inCluster, ""},
		{"an allocator", RoleAlloc, inCluster, ""},
		{"a static cluster", RoleNode, []string{"store.kind=redis", "registry.nodes=b=10.0.0.2:3001,c=[fd00::3]:3001"}, ""},
		{"nothing in common", RoleNode, []string{"registry.kind=zookeeper"}, "store.kind is embedded, which only this process can see"},
		{"an allocator of nothing", RoleAlloc, nil, "registry.kind is static and registry.nodes names no node"},
		{"an allocator nowhere", RoleAlloc, append(inCluster, "alloc.listen="), "alloc.listen is empty"},
		{"an open allocator", RoleAlloc, append(inCluster, "alloc.listen=:9999"), "api.tokens_file is not set"},
		{"a node without id", RoleNode, []string{"store.kind=redis", "registry.nodes=10.0.0.2:3001"}, "write each node as id=host:port"},
		{"no Redis", RoleNode, append(inCluster, "store.redis.addresses="), "store.redis.addresses is empty"},
		{"no port", RoleNode, append(inCluster, "store.redis.addresses=redis"), `holds "redis", which is not host:port`},
		{"two single servers", RoleNode, append(inCluster, "store.redis.addresses=a:1,b:1"), "names 2 servers, but store.redis.mode is single"},
		{"sentinel", RoleNode, append(inCluster, "store.redis.mode=sentinel"), "store.redis.master is not set"},
		{"user without a password", RoleNode, append(inCluster, "store.redis.username=fanfare"), "set store.redis.password_file"},
		{"master alone", RoleNode, append(inCluster, "store.redis.master=m"), "only sentinels know a master by name"},
		{"database of a cluster", RoleNode, append(inCluster, "store.redis.mode=cluster", "store.redis.db=3"), "Redis Cluster has only database 0"},
		{"CA without TLS", RoleNode, append(inCluster, "store.redis.ca_file=ca.pem"), "store.redis.tls is false"},
		{"CA that is not there", RoleNode, append(inCluster, "store.redis.tls=true", "store.redis.ca_file=/nowhere/ca.pem"), "cannot be read: no such file"},
		{"namespace", RoleNode, append(inCluster, "registry.zookeeper.namespace=/mpush"), "write it without slashes"},
		{"no ZooKeeper", RoleNode, append(inCluster, "registry.zookeeper.servers="), "registry.zookeeper.servers is empty"},
		{"allow-list", RoleNode, []string{"security.gateway_allow=10.1.0.0/16,oops"}, `holds "oops"`},
		{"short secret", RoleNode, []string{"security.gateway_secret=short"}, "security.gateway_secret is shorter than 16"},
		{"short password", RoleNode, []string{"security.admin_password=short"}, "security.admin_password is shorter than 12"},
		{"open console", RoleNode, []string{"node.listen.admin=:3002"}, "node.listen.admin is :3002, which other machines can reach"},
		{"guarded console", RoleNode, []string{"node.listen.admin=:3002", "security.admin_password=long enough for this"}, ""},
	} {
		_, _, err := Load(demo(Options{Role: c.role, Set: set(c.set...)}))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "short\"") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: a secret, or more than one line: %v", c.name, err)
		}
	}
}

func TestParsedClusterSettings(t *testing.T) {
	c := mustLoad(t, demo(Options{Role: RoleNode, Set: set("store.kind=redis", "registry.nodes=b=10.0.0.2:3001", "security.gateway_allow=203.0.113.7,10.1.2.3/16")}))
	nodes, err := c.StaticNodes()
	if err != nil || !slices.Equal(nodes, []StaticNode{{"b", "10.0.0.2:3001"}}) {
		t.Errorf("nodes %v, %v", nodes, err)
	}
	allow, err := c.GatewayAllow()
	if err != nil || !slices.Equal(allow, []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("10.1.0.0/16")}) {
		t.Errorf("networks %v, %v", allow, err)
	}
}

func TestWhereTheGatewayListens(t *testing.T) {
	cluster := []string{"store.kind=redis", "registry.kind=zookeeper"}
	for _, c := range []struct {
		set  []string
		want string
	}{
		{nil, "127.0.0.1:3001"},
		{cluster, "10.1.2.3:3001"},
		{append(cluster, "node.listen.gateway=127.0.0.1:3001"), "127.0.0.1:3001"},
		{append(cluster, "node.listen.gateway="), ""},
	} {
		if got := mustLoad(t, demo(Options{Role: RoleNode, GatewayHost: "10.1.2.3", Set: set(c.set...)})).Node.Listen.Gateway; got != c.want {
			t.Errorf("%v: %q, want %q", c.set, got, c.want)
		}
	}
}

func TestRedisCertificates(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(demo(Options{Role: RoleNode, Set: set("store.kind=redis", "store.redis.tls=true", "store.redis.ca_file="+name)}))
	if err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("got %v", err)
	}
	c := mustLoad(t, demo(Options{Role: RoleNode, Set: set("store.kind=redis", "store.redis.tls=true")}))
	if tls, err := c.RedisTLS(); err != nil || tls == nil || tls.RootCAs != nil {
		t.Errorf("got %v, %v", tls, err)
	}
}
