package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
)

// minSecret and minPassword are the least lengths of what keeps strangers out, in bytes.
const (
	minSecret   = 16
	minPassword = 12
)

// checkCluster looks at how nodes find each other and what they share.
func (l *loader) checkCluster(role Role) {
	c := l.config
	shared := c.Store.Kind == "redis"
	several := c.Registry.Kind == "zookeeper" || len(c.Registry.Nodes) > 0
	switch {
	case role == RoleAlloc && !several:
		l.at("registry.kind", "is static and registry.nodes names no node; an allocator of its own needs registry.kind: zookeeper, or the nodes")
	case several && !shared:
		l.at("store.kind", "is embedded, which only this process can see; a cluster needs store.kind: redis")
	}
	if _, err := c.StaticNodes(); err != nil {
		l.at("registry.nodes", "%v", err)
	}
	l.checkRedis()
	if c.Registry.Kind == "zookeeper" {
		l.checkZooKeeper()
	}
}

func (l *loader) checkRedis() {
	r := &l.config.Store.Redis
	r.CAFile = l.path("store.redis.ca_file", r.CAFile)
	if l.config.Store.Kind != "redis" {
		return
	}
	l.checkAddresses("store.redis.addresses", r.Addresses, "6379")
	switch {
	case r.Mode == "sentinel" && r.Master == "":
		l.at("store.redis.master", "is not set; sentinels are asked for a master by its name")
	case r.Mode != "sentinel" && r.Master != "":
		l.at("store.redis.master", "is set, but store.redis.mode is %s; only sentinels know a master by name", r.Mode)
	case r.Username != "" && r.Password.Empty():
		l.at("store.redis.username", "is set without a password; set store.redis.password_file")
	case r.Mode == "cluster" && r.DB != 0:
		l.at("store.redis.db", "is %d, but Redis Cluster has only database 0", r.DB)
	case r.Mode == "single" && len(r.Addresses) > 1:
		l.at("store.redis.addresses", "names %d servers, but store.redis.mode is single; set the mode to sentinel or cluster, or name one", len(r.Addresses))
	}
	if _, err := l.config.RedisTLS(); err != nil {
		l.at("store.redis.ca_file", "%v", err)
	}
}

func (l *loader) checkZooKeeper() {
	z := l.config.Registry.ZooKeeper
	l.checkAddresses("registry.zookeeper.servers", z.Servers, "2181")
	if z.Namespace == "" || strings.ContainsAny(z.Namespace, "/\x00") || z.Namespace == "." || z.Namespace == ".." {
		l.at("registry.zookeeper.namespace", "%q is not the name of a ZooKeeper node; write it without slashes, such as mpush", z.Namespace)
	}
}

// checkAddresses wants at least one host:port.
func (l *loader) checkAddresses(key string, addresses []string, port string) {
	if len(addresses) == 0 {
		l.at(key, "is empty; name at least one host:port, such as 127.0.0.1:%s", port)
	}
	for _, a := range addresses {
		if host, p, err := net.SplitHostPort(a); err != nil || host == "" || p == "" {
			l.at(key, "holds %q, which is not host:port; write for example 127.0.0.1:%s", a, port)
		}
	}
}

// checkSecrets looks at what keeps strangers off the gateway and the admin console.
func (l *loader) checkSecrets() {
	c := l.config
	if _, err := c.GatewayAllow(); err != nil {
		l.at("security.gateway_allow", "%v", err)
	}
	if s := c.Security.GatewaySecret; !s.Empty() && len(s.Reveal()) < minSecret {
		l.at(l.given("security.gateway_secret"), "is shorter than %d characters; make one with: openssl rand -hex 16", minSecret)
	}
	p := c.Security.AdminPassword
	if !p.Empty() && len(p.Reveal()) < minPassword {
		l.at(l.given("security.admin_password"), "is shorter than %d characters; make one with: openssl rand -hex 8", minPassword)
	}
	if p.Empty() && c.Node.Listen.Admin != "" && !Loopback(c.Node.Listen.Admin) {
		l.at("node.listen.admin", "is %s, which other machines can reach; set security.admin_password_file, or listen on 127.0.0.1", c.Node.Listen.Admin)
	}
}

// GatewayAllow are the networks beside loopback and private ones whose back ends may
// connect to the gateway.
func (c *Config) GatewayAllow() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.Security.GatewayAllow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("holds %q, which is neither a network such as 10.1.0.0/16 nor an address", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// StaticNode is a node that the configuration names.
type StaticNode struct{ ID, Gateway string }

// StaticNodes are the other nodes of a static cluster.
func (c *Config) StaticNodes() ([]StaticNode, error) {
	var all []StaticNode
	for _, text := range c.Registry.Nodes {
		id, address, ok := strings.Cut(text, "=")
		host, port, err := net.SplitHostPort(address)
		if !ok || id == "" || err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("holds %q; write each node as id=host:port with the port of its gateway, such as node-2=10.0.0.2:3001", text)
		}
		all = append(all, StaticNode{id, address})
	}
	return all, nil
}

// RedisTLS is the configuration of connections to Redis, nil without TLS.
func (c *Config) RedisTLS() (*tls.Config, error) {
	r := c.Store.Redis
	if !r.TLS {
		if r.CAFile != "" {
			return nil, errors.New("is set, but store.redis.tls is false; set it to true")
		}
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(r.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", r.CAFile, bare(err))
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate (PEM)", r.CAFile)
	}
	return t, nil
}
