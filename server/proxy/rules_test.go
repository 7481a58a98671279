package proxy

import (
	"net/url"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule  string
		yes   []string
		never []string
	}{
		{"http://api.example.com:8080",
			[]string{"http://api.example.com:8080/x", "HTTP://API.EXAMPLE.COM:8080", "http://api.example.com.:8080/", "http://api.example.com:08080/"},
			[]string{"http://api.example.com/", "https://api.example.com:8080/", "http://example.com:8080/", "http://a.api.example.com:8080/",
				"http://api.example.com.evil.org:8080/", "http://api.example.com:8081", "http://evil.org/?http://api.example.com:8080"}},
		{"https://*.example.com",
			[]string{"https://a.example.com/", "https://a.example.com:443/", "https://A-1_b.Example.com"},
			[]string{"https://example.com/", "https://.example.com/", "https://a.b.example.com/", "https://aexample.com/", "http://a.example.com:443/",
				"https://a.example.com.evil.org/", "https://evil.org#.example.com", "https://a.example.com@evil.org/", "https://evil.org\\.example.com/"}},
		{"http://10.0.0.5", []string{"http://10.0.0.5/", "http://[::ffff:10.0.0.5]:80/", "http://[::ffff:a00:5]/"},
			[]string{"http://10.0.0.50/", "http://167772165/", "http://0xa000005/", "http://10.0.5/", "http://012.0.0.5/", "http://10.0.0.5:81/"}},
		{"http://[2001:DB8::1]:90", []string{"http://[2001:db8:0:0::1]:90/"}, []string{"http://[2001:db8::1]/", "http://[2001:db8::1%25eth0]:90/"}},
		{"https://a_b.internal", []string{"https://a_b.internal:443/x"}, nil},
	} {
		r, err := parseRule(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range append(c.yes, c.never...) {
			want := false
			for _, y := range c.yes {
				want = want || y == text
			}
			_, o, err := parseURI(text)
			if got := err == nil && r.allows(o); got != want {
				t.Errorf("%s allows %s: %t, want %t (%+v %v)", c.rule, text, got, want, o, err)
			}
		}
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "*", "api.example.com", "api.example.com:80", "ftp://a.example.com", "http://", "http://*", "https://*:443", "http://a.*.com", "http://*a.example.com",
		"http://*.*.example.com", "http://a.example.com/", "http://a.example.com/path", "http://u@a.example.com", "http://a.example.com?q", "http://a.example.com#f",
		"http://a.example.com:0", "http://a.example.com:65536", "http://a.example.com:http", "http://*.10.0.0.1", "http://127.1", "http://0x7f.0x1",
		"http://a..com", "http://a b.com", "http://exämple.com", "http:opaque", "http://[fe80::1%25eth0]", "http://" + strings.Repeat("a", 64) + ".com",
	} {
		err := CheckRule(text)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "write scheme://host") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "api.internal", ":80", "a:b", "a:0", "10.0.0.5:99999", "[fe80::1%eth0]:80"} {
		if err := CheckPrivate(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "a", "a=", "=1.2.3.4:80", "a=b:80", "a=1.2.3.4:0", "a=1.2.3.4:99999", "a=224.0.0.1:80", "a=0.0.0.0:80", "a b=1.2.3.4:80", "a=https://1.2.3.4:80"} {
		if err := CheckMapping(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The options that cannot work are named before anything starts.
func TestBadOptions(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"allow has no rule":  func(o *Options) { o.Allow = nil },
		"allow[1]: ":         func(o *Options) { o.Allow = append(o.Allow, "x") },
		"allow_private[0]: ": func(o *Options) { o.AllowPrivate = []string{"x"} },
		"dns_mapping[0]: ":   func(o *Options) { o.DNSMapping = []string{"x"} },
		"dns_mapping[1]: ":   func(o *Options) { o.DNSMapping = []string{"a=1.2.3.4:80", "a=http://1.2.3.5:80"} },
		"timeout":            func(o *Options) { o.MaxTimeout = o.Timeout - 1 },
		"largest response":   func(o *Options) { o.MaxMemory = o.MaxResponse - 1 },
		"workers":            func(o *Options) { o.Workers = 0 },
		"per host":           func(o *Options) { o.PerHost = 0 },
		"connect timeout":    func(o *Options) { o.ConnectTimeout = 0 },
		"logger":             func(o *Options) { o.Logger = nil },
	} {
		o := DefaultOptions()
		o.Allow = []string{"http://a.example.com"}
		o.Logger, o.Metrics = discard, newRig(t, func(o *Options) { o.Allow = []string{"http://a"} }).metrics
		change(&o)
		if p, err := New(o); err == nil || p != nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://a.example.com/": "a.example.com", "http://a.example.com:80": "a.example.com", "https://a.example.com:80": "a.example.com:80",
		"https://a.example.com:443": "a.example.com", "http://[::1]/": "[::1]", "http://[::1]:81/": "[::1]:81", "http://u:p@a/x#f": "a",
	} {
		u, o, err := parseURI(text)
		if err != nil || o.authority() != want || u.Host != want || u.User != nil || u.Fragment != "" {
			t.Errorf("%s: %+v %q %v, want %s", text, u, o.authority(), err, want)
		}
	}
	if _, err := originOf(&url.URL{Scheme: "http", Host: "a:b:c"}); err == nil {
		t.Error("a host with colons is taken")
	}
}
