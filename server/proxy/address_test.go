package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
)

// addresses by how far they reach, in all the forms in which they can be written.
var byReach = map[reach][]string{
	public: {"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "192.167.255.255", "100.63.255.255", "100.128.0.0", "198.17.255.255", "223.255.255.255",
		"2606:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"},
	private: {"127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
		"::1", "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1"},
	special: {"169.254.169.254", "169.254.0.1", "168.63.129.16", "100.100.100.200", "192.0.0.192", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1",
		"198.51.100.1", "203.0.113.1", "fe80::1", "fec0::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
		"::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1",
		"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2001:10::1", "100::1", "3fff::1", "4000::1", "1000::1", "5f00::1"},
	nowhere: {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "ff02::1", "ff0e::1",
		"::ffff:0.0.0.0", "::ffff:224.0.0.1", "64:ff9b::", "64:ff9b::255.255.255.255", "fe80::1%eth0", "::1%lo"},
}

func TestReach(t *testing.T) {
	t.Parallel()
	for want, list := range byReach {
		for _, text := range list {
			if got := reachOf(netip.MustParseAddr(text)); got != want {
				t.Errorf("%s reaches %d, want %d", text, got, want)
			}
		}
	}
	if reachOf(netip.Addr{}) != nowhere {
		t.Error("no address reaches somewhere")
	}
}

func bracketed(a string) string {
	if strings.Contains(a, ":") {
		return "[" + a + "]"
	}
	return a
}

// Whatever is not public is refused after resolution, as a name and as a number, and is
// not dialled.
func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	for r, list := range byReach {
		for _, a := range list {
			if strings.Contains(a, "%") {
				continue
			}
			var d dials
			proxy := newRig(t, func(o *Options) {
				o.Allow = []string{"http://name.example.com", "http://" + bracketed(a)}
				o.Resolver, o.Dial = names{"name.example.com": {a}}, d.dial
			})
			for _, uri := range []string{"http://name.example.com/", "http://" + bracketed(a) + "/"} {
				if r == public {
					proxy.want(get(uri), http.StatusGatewayTimeout, exporter.ProxyConnect) // dialled, and nobody there
					continue
				}
				proxy.want(get(uri), http.StatusForbidden, exporter.ProxyRefused)
			}
			if dialled := d.all(); (len(dialled) > 0) != (r == public) {
				t.Errorf("%s: dialled %v", a, dialled)
			}
		}
	}
}

// A name that changes its mind between two look-ups gains nothing: it is looked up
// once for each connection, and what is dialled is what was looked at.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("public")) })
	d := dials{server: s.Listener.Addr().String()}
	resolver := names{"turncoat.example.com": {"8.8.8.8"}}
	p := newRig(t, func(o *Options) {
		o.Allow, o.Resolver, o.Dial = []string{"http://turncoat.example.com"}, resolver, d.dial
	})
	if a := p.do(get("http://turncoat.example.com/")); string(a.Body) != "public" {
		t.Fatalf("got %+v", a)
	}
	resolver["turncoat.example.com"] = []string{"127.0.0.1"}
	p.transport.CloseIdleConnections()
	p.want(get("http://turncoat.example.com/"), http.StatusForbidden, exporter.ProxyRefused)
	if got := strings.Join(d.all(), " "); got != "8.8.8.8:80" {
		t.Errorf("dialled %s", got)
	}
}

// Of a name with addresses of both kinds only the public ones are tried, in order.
func TestMixedAddresses(t *testing.T) {
	t.Parallel()
	var d dials
	p := newRig(t, func(o *Options) {
		o.Allow, o.Dial = []string{"http://mixed.example.com:81"}, d.dial
		o.Resolver = names{"mixed.example.com": {"127.0.0.1", "8.8.8.8", "::ffff:10.0.0.1", "2606:4700::1", "169.254.169.254", "1.1.1.1", "1.0.0.1", "9.9.9.9"}}
	})
	p.want(get("http://mixed.example.com:81/"), http.StatusGatewayTimeout, exporter.ProxyConnect)
	if got := strings.Join(d.all(), " "); got != "8.8.8.8:81 [2606:4700::1]:81 1.1.1.1:81 1.0.0.1:81" {
		t.Errorf("dialled %s", got)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	p, err := parsePermissions([]string{"api.internal:8080", "10.0.0.5:80", "10.1.0.0/16", "169.254.10.0/24", "[::1]:90", "0.0.0.0/0"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := parsePermissions([]string{"api.internal:8080", "10.0.0.5:80", "10.1.0.0/16", "[::1]:90", "169.254.169.254:80"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p        *permissions
		endpoint string
		address  string
		want     bool
	}{
		{q, "api.internal:8080", "192.168.0.9", true},
		{q, "api.internal:8080", "127.0.0.1", true},
		{q, "api.internal:8080", "::ffff:127.0.0.1", true},
		{q, "api.internal:8080", "fd00::1", true},
		{q, "api.internal:80", "192.168.0.9", false},
		{q, "api.internal:8080", "169.254.169.253", false}, // whoever answers for the name chooses
		{q, "api.internal:8080", "169.254.169.254", false},
		{q, "api.internal:80", "169.254.169.254", true}, // named as an address with that port
		{q, "other.internal:80", "10.0.0.5", true},
		{q, "other.internal:81", "10.0.0.5", false},
		{q, "other.internal:81", "10.1.200.3", true},
		{q, "other.internal:81", "::ffff:10.1.200.3", true},
		{q, "other.internal:81", "64:ff9b::10.1.200.3", true},
		{q, "x:90", "::1", true},
		{q, "x:91", "::1", false},
		{q, "x:90", "127.0.0.1", false},
		{p, "x:90", "169.254.10.1", true},
		{p, "x:90", "127.0.0.1", true},
		{p, "x:90", "224.0.0.1", false}, // never
		{p, "x:90", "0.0.0.0", false},
		{p, "x:90", "fe80::1", false},
	} {
		_, port, _ := net.SplitHostPort(c.endpoint)
		if got := c.p.allow(c.endpoint, netip.MustParseAddr(c.address), port); got != c.want {
			t.Errorf("%s at %s: %t, want %t", c.endpoint, c.address, got, c.want)
		}
	}
}
