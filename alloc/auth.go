package alloc

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// guard decides who may call the API. With tokens it is whoever knows one.
// Without, it is whoever can reach a loopback address, and then the browsers of
// this machine are the danger: a page from elsewhere may send requests here
// (cross-site) or become this host by its own name server (DNS rebinding). So the
// Host must be this machine and a request that changes something must not come
// from another origin. A proxy on this machine that speaks for somebody else gives
// itself away in the headers, if it says whom it speaks for.
type guard struct {
	digests  [][sha256.Size]byte // of the tokens; comparing digests hides lengths
	loopback bool                // check Host
	origin   *http.CrossOriginProtection
}

// newGuard checks the tokens themselves: an empty one would let everybody in, one
// with a space can never arrive.
func newGuard(tokens []string, loopback bool) (*guard, error) {
	g := &guard{loopback: loopback, origin: http.NewCrossOriginProtection()}
	for i, token := range tokens {
		if token == "" || strings.ContainsAny(token, " \t\r\n") {
			return nil, fmt.Errorf("api.tokens: entry %d is empty or contains white space", i+1)
		}
		g.digests = append(g.digests, sha256.Sum256([]byte(token)))
	}
	return g, nil
}

func (g *guard) check(r *http.Request) *problem {
	if len(g.digests) > 0 {
		return g.checkToken(r.Header.Get("Authorization"))
	}
	if g.loopback && (r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "") {
		return refuse(http.StatusForbidden, "foreign_host",
			"without api.tokens the API answers only to programs on this machine; the request came through a proxy")
	}
	if g.loopback && !localHost(r.Host) {
		return refuse(http.StatusForbidden, "foreign_host",
			"without api.tokens the API answers only to localhost; the request is for host %q", clip(r.Host))
	}
	if err := g.origin.Check(r); err != nil {
		return refuse(http.StatusForbidden, "foreign_origin",
			"without api.tokens the API takes no requests from pages of another origin")
	}
	return nil
}

// checkToken compares with every token, whichever matches, so that the time tells
// nothing.
func (g *guard) checkToken(authorization string) *problem {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return refuse(http.StatusUnauthorized, "token_missing", "this call needs the header Authorization: Bearer <token>")
	}
	digest, known := sha256.Sum256([]byte(token)), 0
	for i := range g.digests {
		known |= subtle.ConstantTimeCompare(digest[:], g.digests[i][:])
	}
	if known == 0 {
		return refuse(http.StatusUnauthorized, "token_invalid", "the bearer token is not known")
	}
	return nil
}

// localHost says whether a Host header names this machine itself.
func localHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}
