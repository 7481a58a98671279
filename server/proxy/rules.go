package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// origin is where a request goes: what has to be equal for two requests to share a
// connection or a credential.
type origin struct {
	scheme string // http or https
	host   string // as plainHost makes it
	port   string // decimal, never empty
}

// address is host:port, as it is dialled.
func (o origin) address() string { return net.JoinHostPort(o.host, o.port) }

// authority is the Host header: without the port where it is the scheme's own.
func (o origin) authority() string {
	switch {
	case o.port != defaultPort(o.scheme):
		return o.address()
	case strings.Contains(o.host, ":"):
		return "[" + o.host + "]"
	}
	return o.host
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

var (
	errScheme = errors.New("the scheme is neither http nor https")
	errHost   = errors.New("the host is no name and no address")
	errPort   = errors.New("the port is not from 1 to 65535")
)

// originOf finds where an absolute URL goes.
func originOf(u *url.URL) (o origin, err error) {
	o.scheme = strings.ToLower(u.Scheme)
	if o.scheme != "http" && o.scheme != "https" {
		return o, errScheme
	}
	if o.host, err = plainHost(u.Hostname()); err != nil {
		return o, err
	}
	o.port, err = plainPort(u.Port(), o.scheme)
	return o, err
}

func plainPort(text, scheme string) (string, error) {
	if text == "" {
		return defaultPort(scheme), nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", errPort
	}
	return strconv.FormatUint(n, 10), nil
}

// plainHost brings a host into the one form that rules are compared with: a name in
// lower case without the dot at its end, or an address in its shortest form. Names in
// other scripts have to come in their ASCII form. What only looks like a name, as
// 127.1, 0x7f000001 and 2130706433 do, is an address to some resolvers and refused.
func plainHost(host string) (string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", errHost
		}
		return a.Unmap().String(), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(host) > 253 {
		return "", errHost
	}
	last := ""
	for last = range strings.SplitSeq(host, ".") {
		if len(last) > 63 || last == "" || strings.Trim(last, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errHost
		}
	}
	if strings.Trim(last, "0123456789") == "" || numeric(last) {
		return "", errHost
	}
	return host, nil
}

// numeric tells a number in hexadecimal form.
func numeric(label string) bool {
	digits, ok := strings.CutPrefix(label, "0x")
	return ok && strings.Trim(digits, "0123456789abcdef") == ""
}

// rule allows one origin, or those that differ in the first label of the host.
type rule struct {
	origin
	wild bool // host stands behind any one label
}

// CheckRule tells what is wrong with a rule of [Options.Allow], in one line.
func CheckRule(text string) error {
	_, err := parseRule(text)
	return err
}

func parseRule(text string) (r rule, err error) {
	const form = "write scheme://host or scheme://host:port, such as https://*.example.com"
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return r, fmt.Errorf("%q is no rule; %s", text, form)
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") {
		return r, fmt.Errorf("%q has more than scheme, host and port; only these count: %s", text, form)
	}
	if host, ok := strings.CutPrefix(u.Host, "*."); ok {
		r.wild, u.Host = true, host
	}
	if strings.Contains(u.Host, "*") {
		return r, fmt.Errorf("%q has a * that does not stand for the first part of a host; %s", text, form)
	}
	if r.origin, err = originOf(u); err != nil {
		return r, fmt.Errorf("%q: %w; %s", text, err, form)
	}
	if _, err := netip.ParseAddr(r.host); err == nil && r.wild {
		return r, fmt.Errorf("%q has a * before an address; %s", text, form)
	}
	return r, nil
}

func (r rule) allows(o origin) bool {
	if r.wild {
		_, o.host, _ = strings.Cut(o.host, ".")
	}
	return r.origin == o
}
