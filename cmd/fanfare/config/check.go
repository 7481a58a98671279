package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fanfare-push/fanfare/protocol"
)

// Role is what a configuration is meant for.
type Role string

// The programs that take a configuration.
const (
	RoleRun   Role = "run"   // node, allocator and console in one process
	RoleNode  Role = "node"  // a push node
	RoleAlloc Role = "alloc" // an allocator
)

// minToken is the least length of a bearer token, in bytes.
const minToken = 16

// check looks at what concerns more than one setting and at what only a look at the
// machine can tell. It changes nothing on it.
func (l *loader) check(role Role) {
	c := l.config
	if c.Limits.MaxHeartbeat < c.Limits.MinHeartbeat {
		l.at("limits.max_heartbeat", "is %v, below limits.min_heartbeat %v; raise it", c.Limits.MaxHeartbeat, c.Limits.MinHeartbeat)
	}
	l.checkListeners(role)
	if role != RoleNode {
		l.checkAPI(role)
	}
	if role != RoleAlloc {
		l.checkKey(role)
		l.checkTLS()
		l.checkProxy()
	}
	l.checkCluster(role)
	l.checkSecrets()
	c.Store.Dir = l.path("store.dir", c.Store.Dir)
	if err := usableDir(c.Store.Dir); err != nil {
		l.at("store.dir", "%v", err)
	}
}

func (l *loader) checkListeners(role Role) {
	n := l.config.Node.Listen
	if n.Device == "" && n.WebSocket == "" && role != RoleAlloc {
		l.at("node.listen.device", "and node.listen.websocket are both off; no device could connect")
	}
	if p := l.config.Node.WebPath; !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "?#% \t") {
		l.at("node.websocket_path", "is %q, which is not a plain path; write for example /push", p)
	}
	taken := map[string]string{}
	for _, k := range l.keys {
		f := l.fields[k]
		if f.Kind != "listen" || !role.listens(k) {
			continue
		}
		a := f.value(l.config).String()
		if _, port, err := net.SplitHostPort(a); err != nil || port == "0" {
			continue
		}
		if other, ok := taken[a]; ok {
			l.at(k, "is %s, as is %s; give one of them another port", a, other)
		}
		taken[a] = k
	}
}

// listens tells whether a process of this role binds the address of a key.
func (r Role) listens(key string) bool {
	switch r {
	case RoleNode:
		return key != "alloc.listen"
	case RoleAlloc:
		return key == "alloc.listen"
	}
	return true
}

// checkAPI looks at the tokens that keep strangers off an API that can change things.
func (l *loader) checkAPI(role Role) {
	c := l.config
	for i, t := range c.API.Tokens {
		if len(t.Reveal()) < minToken {
			l.at(l.given("api.tokens"), "holds a token (number %d) shorter than %d characters; make one with: openssl rand -hex 16", i+1, minToken)
		}
	}
	switch {
	case role == RoleAlloc && c.Alloc.Listen == "":
		l.at("alloc.listen", "is empty; an allocator needs an address")
	case role == RoleAlloc && c.NeedsToken():
		l.at("api.tokens_file", "is not set, but alloc.listen is the public address %s; set it, or listen on 127.0.0.1", c.Alloc.Listen)
	case c.NeedsToken():
		l.warnings = append(l.warnings, Problem{Key: "alloc.listen", Text: fmt.Sprintf(
			"is the public address %s and there is no api.tokens_file: fanfare run makes up a token at each start", c.Alloc.Listen)})
	}
}

// NeedsToken tells that the API would be open to others: a public address, no
// tokens, and no word that this is wanted.
func (c *Config) NeedsToken() bool {
	return c.Alloc.Listen != "" && !Loopback(c.Alloc.Listen) && len(c.API.Tokens) == 0 && !c.API.Insecure
}

// given is the key of a pair of twins that was used.
func (l *loader) given(key string) string {
	if _, ok := l.origins[key+"_file"]; ok {
		return key + "_file"
	}
	return key
}

func (l *loader) checkKey(role Role) {
	s := &l.config.Security
	if l.failed("security.private_key_file") || l.failed("security.public_key_file") {
		return
	}
	switch {
	case s.PrivateKey.Empty() && s.PublicKey != "":
		l.at(l.given("security.public_key"), "is given without a private key; set security.private_key_file")
	case s.PrivateKey.Empty() && !s.DemoKey && role == RoleNode:
		l.at("security.private_key_file", "is not set; make a key with: openssl genrsa -out private.pem 2048 (or set security.demo_key: true for a trial)")
	case !s.PrivateKey.Empty() && s.DemoKey:
		l.at("security.demo_key", "is true, but there is a private key too; remove one of them")
	default:
		if _, err := l.config.KeyPair(); err != nil {
			l.at(l.given("security.private_key"), "%v", err)
		}
	}
}

func (l *loader) failed(key string) bool {
	for _, p := range l.problems {
		if p.Key == key {
			return true
		}
	}
	return false
}

// KeyPair is the RSA pair of the handshake: the configured one, or MPush's published
// pair when none is configured.
func (c *Config) KeyPair() (*protocol.PrivateKey, error) {
	if c.Security.PrivateKey.Empty() {
		return protocol.DemoKeyPair()
	}
	var public []byte
	if c.Security.PublicKey != "" {
		public = []byte(c.Security.PublicKey)
	}
	return protocol.ParseKeyPair([]byte(c.Security.PrivateKey.Reveal()), public)
}

func (l *loader) checkTLS() {
	s := &l.config.Security
	s.TLSCertFile = l.path("security.tls_cert_file", s.TLSCertFile)
	s.TLSKeyFile = l.path("security.tls_key_file", s.TLSKeyFile)
	switch {
	case s.TLSCertFile == "" && s.TLSKeyFile == "":
	case s.TLSKeyFile == "":
		l.at("security.tls_cert_file", "is set without security.tls_key_file; set both")
	case s.TLSCertFile == "":
		l.at("security.tls_key_file", "is set without security.tls_cert_file; set both")
	default:
		if _, err := l.config.TLS(); err != nil {
			l.at("security.tls_cert_file", "%v", err)
		}
	}
}

// TLS is the configuration of the device and WebSocket ports, nil without a certificate.
func (c *Config) TLS() (*tls.Config, error) {
	if c.Security.TLSCertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Security.TLSCertFile, c.Security.TLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use the certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// Loopback tells whether only this machine can reach a listen address. Names other
// than localhost count as public.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// usableDir tells why files could not be written below dir, which need not exist
// yet. A probe file is made and removed where it does.
func usableDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(dir)
		if parent == dir {
			return fmt.Errorf("%s does not exist", dir)
		}
		return usableDir(parent)
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", dir, bare(err))
	case !info.IsDir():
		return fmt.Errorf("%s is a file, not a directory", dir)
	}
	probe, err := os.CreateTemp(dir, ".fanfare-probe-*")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", dir, bare(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// bare is the system's reason alone.
func bare(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// Listener finds the key of a listen address, by the address as a whole or else by
// its port alone, as the system may report a name as a number.
func (c *Config) Listener(address string) (key string, ok bool) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	for _, f := range Fields() {
		if f.Kind != "listen" {
			continue
		}
		text := f.value(c).String()
		if text == address {
			return f.Key, true
		}
		if _, p, err := net.SplitHostPort(text); err == nil && p == port && !ok {
			key, ok = f.Key, true
		}
	}
	return key, ok
}
