package proxy

import (
	"fmt"
	"net"
	"net/netip"
)

// permissions say which addresses may be dialled beyond the public ones.
type permissions struct {
	blocks    []netip.Prefix
	endpoints map[string]bool // host:port as origin.address writes it
}

// CheckPrivate tells what is wrong with an entry of [Options.AllowPrivate], in one line.
func CheckPrivate(text string) error { return new(permissions).add(text) }

func parsePermissions(texts []string) (*permissions, error) {
	p := new(permissions)
	for i, text := range texts {
		if err := p.add(text); err != nil {
			return nil, fmt.Errorf("allow_private[%d]: %w", i, err)
		}
	}
	return p, nil
}

func (p *permissions) add(text string) error {
	if block, err := netip.ParsePrefix(text); err == nil {
		if block != block.Masked() {
			return fmt.Errorf("%q has bits behind its length; write %s", text, block.Masked())
		}
		p.blocks = append(p.blocks, block)
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil && port != "" {
		host, err = plainHost(host)
	}
	if err == nil {
		port, err = plainPort(port, "")
	}
	if err != nil {
		return fmt.Errorf("%q is neither host:port nor a block of addresses; write for example 10.0.0.5:8080, api.internal:8080 or 10.1.0.0/16", text)
	}
	if p.endpoints == nil {
		p.endpoints = make(map[string]bool)
	}
	p.endpoints[net.JoinHostPort(host, port)] = true
	return nil
}

// allow tells whether the address may be dialled for host:port of a URL. Who names a
// host vouches for the private network; only who names the address itself vouches for
// a special one, since whoever runs the host's name server chooses addresses.
func (p *permissions) allow(endpoint string, a netip.Addr, port string) bool {
	r := reachOf(a)
	a = plainAddr(a)
	switch {
	case r == public:
		return true
	case r == nowhere:
		return false
	case p.endpoints[net.JoinHostPort(a.String(), port)] || within(a, p.blocks):
		return true
	}
	return r == private && p.endpoints[endpoint]
}
