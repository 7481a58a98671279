package config

import (
	"fmt"

	"github.com/fanfare-push/fanfare/server/proxy"
)

// Proxy is what devices may ask of the HTTP proxy. Defaults are MPush's where it has
// the setting.
type Proxy struct {
	Enabled       bool     `key:"enabled" default:"false" doc:"Make HTTP requests for devices (command 12 of MPush), after their handshake. Needs proxy.allow."`
	Allow         []string `key:"allow" doc:"Where devices may go: scheme://host or scheme://host:port each; *. before the host stands for one more part of a name, as in https://*.example.com. Redirects are held to it too."`
	AllowPrivate  []string `key:"allow_private" doc:"Destinations that may have addresses which are not public: host:port as in the URL, an address with a port, or a block of addresses such as 10.1.0.0/16. A name does not open link-local addresses, where clouds keep credentials."`
	DNSMapping    []string `key:"dns_mapping" doc:"Backends that serve a host in place of what its name resolves to: host=ip:port each, several for one host if there are several. One that takes connections is chosen at random. They may be private. With http:// before the address they are spoken to without TLS even for https, as MPush always does. The host has to be in proxy.allow."`
	Timeout       Duration `key:"timeout" default:"10s" min:"100ms" max:"10m" doc:"Time a request may take when the device does not say (header readTimeout)."`
	MaxTimeout    Duration `key:"max_timeout" default:"1m" min:"100ms" max:"10m" doc:"Most that a device may ask for."`
	MaxResponse   Size     `key:"max_response" default:"5m" min:"1k" max:"256m" doc:"Largest body of an answer; a larger one becomes a 502."`
	MaxMemory     Size     `key:"max_memory" default:"128m" min:"1k" max:"64g" doc:"Bodies of all answers that are read or wait for slow devices; an answer for which nothing is left becomes a 503."`
	Workers       int      `key:"workers" default:"256" min:"1" max:"100000" doc:"Requests made at a time."`
	Queue         int      `key:"queue" default:"1024" min:"1" max:"1000000" doc:"Requests that may wait, at most half of them for one destination; one more becomes a 503."`
	PerHost       int      `key:"per_host" default:"64" min:"1" max:"100000" doc:"Connections to one scheme, host and port."`
	IdlePerHost   int      `key:"idle_per_host" default:"5" min:"1" max:"10000" doc:"Of these, kept open for the next request."`
	PerConnection int      `key:"per_connection" default:"16" min:"1" max:"10000" doc:"Requests of one device at a time; one more becomes a 503."`
}

// checkProxy looks at the rules one by one, also while the proxy is off, so that a
// mistake does not wait for the day on which it is turned on.
func (l *loader) checkProxy() {
	c := &l.config.Proxy
	if c.Enabled && len(c.Allow) == 0 {
		l.at("proxy.enabled", "is true, but proxy.allow names no destination; list where devices may go, such as https://*.example.com")
	}
	if c.MaxTimeout < c.Timeout {
		l.at("proxy.max_timeout", "is %v, below proxy.timeout %v; raise it", c.MaxTimeout, c.Timeout)
	}
	if c.MaxMemory < c.MaxResponse {
		l.at("proxy.max_memory", "is %v, below proxy.max_response %v; raise it", c.MaxMemory, c.MaxResponse)
	}
	l.checkItems("proxy.allow", c.Allow, func(i int) error { return proxy.CheckRule(c.Allow[i]) })
	l.checkItems("proxy.allow_private", c.AllowPrivate, func(i int) error { return proxy.CheckPrivate(c.AllowPrivate[i]) })
	l.checkItems("proxy.dns_mapping", c.DNSMapping, func(i int) error { return proxy.CheckMapping(c.DNSMapping[:i+1]...) })
}

// checkItems makes a problem of each item of a list that check finds a fault in.
func (l *loader) checkItems(key string, items []string, check func(i int) error) {
	from := l.origins[key]
	for i := range items {
		if err := check(i); err != nil {
			l.problems = append(l.problems, Problem{File: from.file, Line: from.line, Key: fmt.Sprintf("%s[%d]", key, i), Text: err.Error()})
		}
	}
}
