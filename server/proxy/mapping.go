package proxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
)

// backend is an address that serves a host in place of what its name resolves to.
type backend struct {
	address string // ip:port
	plain   bool   // spoken to without TLS whatever the URL says
	down    atomic.Bool
}

// mapping is the backends of each host.
type mapping map[string][]*backend

// CheckMapping tells what is wrong with the last of these entries of
// [Options.DNSMapping], in one line.
func CheckMapping(texts ...string) (err error) {
	m := make(mapping)
	for _, text := range texts {
		err = m.add(text)
	}
	return err
}

func parseMapping(texts []string) (mapping, error) {
	m := make(mapping)
	for i, text := range texts {
		if err := m.add(text); err != nil {
			return nil, fmt.Errorf("dns_mapping[%d]: %w", i, err)
		}
	}
	return m, nil
}

func (m mapping) add(text string) error {
	host, b, err := parseBackend(text)
	if err != nil {
		return err
	}
	if list := m[host]; len(list) > 0 && list[0].plain != b.plain {
		return fmt.Errorf("%q mixes backends with and without http:// for one host; write all in one way", text)
	}
	m[host] = append(m[host], b)
	return nil
}

func parseBackend(text string) (host string, b *backend, err error) {
	const form = "write host=ip:port, such as api.example.com=10.0.0.1:8080"
	name, address, ok := strings.Cut(text, "=")
	if host, err = plainHost(strings.TrimSpace(name)); err != nil || !ok {
		return "", nil, fmt.Errorf("%q names no host; %s", text, form)
	}
	b = new(backend)
	address, b.plain = strings.CutPrefix(strings.TrimSpace(address), "http://")
	if a, err := netip.ParseAddr(strings.Trim(address, "[]")); err == nil { // MPush: port 80 where there is none
		address = net.JoinHostPort(a.String(), "80")
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil || a.Port() == 0 || reachOf(a.Addr()) == nowhere {
		return "", nil, fmt.Errorf("%q names no address with a port; %s", text, form)
	}
	b.address = a.String()
	return host, b, nil
}

// pick chooses one of the host's backends that answer at random, or one of all if
// none does; nil for a host without any. MPush would go to the host's own address
// then, which may be a stranger's.
func (m mapping) pick(host string) *backend {
	all := m[host]
	if len(all) == 0 {
		return nil
	}
	start := rand.IntN(len(all))
	for i := range all {
		if b := all[(start+i)%len(all)]; !b.down.Load() {
			return b
		}
	}
	return all[start]
}

// plain tells whether the host is spoken to without TLS whatever the URL says.
func (m mapping) plain(host string) bool {
	list := m[host]
	return len(list) > 0 && list[0].plain
}
