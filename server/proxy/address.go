package proxy

import "net/netip"

// reach is how far an address can be dialled.
type reach int

const (
	// public: the open Internet.
	public reach = iota
	// private: this machine and networks of its owner. A permission that names the host
	// opens them.
	private
	// special: link-local addresses, where clouds serve credentials to whoever asks, and
	// blocks that lead elsewhere than they say. Only a permission that names the very
	// address opens them.
	special
	// nowhere: no single host. Never dialled.
	nowhere
)

var (
	privateBlocks = prefixes(
		"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918, RFC 6598, loopback
		"::1/128", "fc00::/7",
	)
	specialBlocks = prefixes(
		"169.254.0.0/16", "fe80::/10", "fec0::/10", // link-local; 169.254.169.254 and its kin
		"168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::/32", // metadata services elsewhere
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", // IPv4 in disguise, discard
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", // Teredo and other protocols, 6to4, documents
	)
	nowhereBlocks = prefixes("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")

	globalIPv6 = netip.MustParsePrefix("2000::/3")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

func within(a netip.Addr, blocks []netip.Prefix) bool {
	for _, b := range blocks {
		if b.Contains(a) {
			return true
		}
	}
	return false
}

// plainAddr undoes the forms in which an IPv4 address comes as an IPv6 one that the
// system or a NAT64 gateway takes back apart.
func plainAddr(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// reachOf classifies an address. What is not known to be public is not.
func reachOf(a netip.Addr) reach {
	if !a.IsValid() || a.Zone() != "" {
		return nowhere
	}
	a = plainAddr(a)
	switch {
	case within(a, nowhereBlocks):
		return nowhere
	case within(a, privateBlocks) && !within(a, specialBlocks) || a == netip.IPv6Loopback():
		return private
	case within(a, specialBlocks) || a.Is6() && !globalIPv6.Contains(a):
		return special
	}
	return public
}
