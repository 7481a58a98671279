package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Request is what a device asks for.
type Request struct {
	protocol.HTTPRequest
	Device netip.AddrPort // where the device is; it is told to the destination
}

// maxRequestHeaders that a device may send.
const maxRequestHeaders = 128

// outgoing is a request on its way: what each hop of redirects is made from.
type outgoing struct {
	method string
	to     origin
	url    *url.URL
	header http.Header
	body   []byte
}

var (
	errNoURI   = errors.New("there is no URI")
	errControl = errors.New("there are control characters in the URI")
	errURI     = errors.New("the URI is no absolute one of http or https")
	errHeader  = errors.New("a header is malformed")
)

// parse reads a device's request. wish is the time that it wants to wait, 0 if it does
// not say.
func parse(r *Request) (out *outgoing, wish time.Duration, err error) {
	out = &outgoing{method: methodOf(r.Method), body: r.Body}
	if out.url, out.to, err = parseURI(r.URI); err != nil {
		return nil, 0, err
	}
	if out.header, wish, err = parseHeader(r.Headers); err != nil {
		return nil, 0, err
	}
	out.header.Set("X-Forwarded-For", r.Device.Addr().Unmap().WithZone("").String())
	out.header.Set("X-Forwarded-Port", strconv.Itoa(int(r.Device.Port())))
	return out, wish, nil
}

func methodOf(b byte) string {
	switch b {
	case protocol.MethodPost:
		return http.MethodPost
	case protocol.MethodPut:
		return http.MethodPut
	case protocol.MethodDelete:
		return http.MethodDelete
	}
	return http.MethodGet
}

// parseURI reads an absolute URI and cuts it down to what a request needs: neither
// credentials nor fragment. As in MPush one with spaces is none.
func parseURI(text string) (*url.URL, origin, error) {
	switch {
	case text == "":
		return nil, origin{}, errNoURI
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, origin{}, errControl
	case strings.Contains(text, " "):
		return nil, origin{}, errURI
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return nil, origin{}, errURI
	}
	o, err := originOf(u)
	if err != nil {
		return nil, origin{}, err
	}
	return &url.URL{Scheme: o.scheme, Host: o.authority(), Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, o, nil
}

// parseHeader reads the headers of a device without those that are ours to set.
func parseHeader(text string) (header http.Header, wish time.Duration, err error) {
	list := protocol.ParseHeaders(text)
	if len(list) > maxRequestHeaders {
		return nil, 0, errHeader
	}
	header = make(http.Header)
	for _, h := range list {
		value := textproto.TrimString(h.Value)
		if !validName(h.Name) || !validValue(value) {
			return nil, 0, errHeader
		}
		if strings.EqualFold(h.Name, "readTimeout") {
			wish = readTimeout(value)
			continue
		}
		header.Add(h.Name, value)
	}
	removeHops(header)
	for name := range header {
		if oursToSet(name) {
			delete(header, name)
		}
	}
	if header.Get("User-Agent") == "" {
		header["User-Agent"] = []string{""} // none, rather than the library's own
	}
	return header, wish, nil
}

// readTimeout is the header's number of milliseconds; 0 is no wish.
func readTimeout(value string) time.Duration {
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil || ms < 0 {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// validName tells a token of RFC 9110.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) || c >= 0x80 {
			return false
		}
	}
	return name != ""
}

// validValue refuses control characters other than tabs.
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hops are the headers that concern one connection only.
var hops = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// removeHops removes them and those that Connection names.
func removeHops(header http.Header) {
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			header.Del(textproto.TrimString(name))
		}
	}
	for _, name := range hops {
		header.Del(name)
	}
}

// oursToSet tells the headers that a device may not choose: where the request goes,
// how long it is, and whom it comes from. Some servers read _ as -.
func oursToSet(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch name {
	case "host", "content-length", "expect", "transfer-encoding",
		"forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded")
}

// request makes the request of the present hop. plain leaves TLS out.
func (o *outgoing) request(ctx context.Context, plain bool) *http.Request {
	u := *o.url
	u.Host = o.to.address()
	if plain {
		u.Scheme = "http"
	}
	r := &http.Request{Method: o.method, URL: &u, Host: o.to.authority(), Header: o.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if len(o.body) > 0 {
		r.ContentLength = int64(len(o.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r.WithContext(ctx)
}

// redirected prepares the next hop. False returns the redirect to the device: it has
// no Location, or one that is no business of HTTP.
func (o *outgoing) redirected(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return false
	}
	location := res.Header.Get("Location")
	if location == "" {
		return false
	}
	next, err := o.url.Parse(location)
	if err != nil {
		return false
	}
	u, to, err := parseURI(next.String())
	if err != nil {
		return false
	}
	o.header = o.header.Clone()
	if to != o.to {
		for _, name := range []string{"Authorization", "Cookie", "Cookie2", "Www-Authenticate"} {
			o.header.Del(name)
		}
	}
	if res.StatusCode == http.StatusSeeOther || o.method == http.MethodPost && res.StatusCode < http.StatusSeeOther {
		o.method, o.body = http.MethodGet, nil
		for name := range o.header {
			if strings.HasPrefix(name, "Content-") || name == "Digest" {
				delete(o.header, name)
			}
		}
	}
	o.url, o.to = u, to
	return true
}
