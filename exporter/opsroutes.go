package exporter

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
)

// maxDrainRate bounds the rate of POST /-/drain, in connections per second.
const maxDrainRate = 1_000_000

func (o *Ops) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(o.options.Gatherer, o.options.Logger))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { line(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /-/ready", o.ready)
	mux.Handle("/-/drain", local(o.drain))
	mux.Handle("/debug/pprof/", local(pprof.Index))
	mux.Handle("/debug/pprof/cmdline", local(pprof.Cmdline))
	mux.Handle("/debug/pprof/profile", local(pprof.Profile))
	mux.Handle("/debug/pprof/symbol", local(pprof.Symbol))
	mux.Handle("/debug/pprof/trace", local(pprof.Trace))
	return mux
}

func (o *Ops) ready(w http.ResponseWriter, _ *http.Request) {
	if o.options.Ready != nil {
		if err := o.options.Ready(); err != nil {
			line(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
			return
		}
	}
	line(w, http.StatusOK, "ready")
}

func (o *Ops) drain(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		line(w, http.StatusMethodNotAllowed, "drain wants POST")
		return
	}
	rate, err := drainRate(r.URL.Query().Get("rate"))
	switch {
	case err != nil:
		line(w, http.StatusBadRequest, err.Error())
	case o.options.Drain == nil:
		line(w, http.StatusNotImplemented, "this process has nothing to drain")
	default:
		o.options.Logger.Info("drain asked for", "peer", r.RemoteAddr, "rate", rate)
		o.options.Drain(rate)
		line(w, http.StatusAccepted, "draining")
	}
}

// drainRate reads connections per second; absent is 0, the node's default.
func drainRate(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	rate, err := strconv.Atoi(text)
	if err != nil || rate < 0 || rate > maxDrainRate {
		return 0, fmt.Errorf("rate %q: want a whole number from 0 to %d", text, maxDrainRate)
	}
	return rate, nil
}

// local lets only programs on this machine through. A peer on loopback may still
// be a proxy that speaks for somebody else, or a browser on a foreign page; both
// give themselves away in the headers.
func local(next http.HandlerFunc) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarded := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
		if forwarded || !loopback(r.RemoteAddr) || !ownName(r.Host) || crossOrigin.Check(r) != nil {
			line(w, http.StatusForbidden, "only for programs on this machine")
			return
		}
		next(w, r)
	})
}

// loopback tells whether the peer at host:port is on this machine.
func loopback(peer string) bool {
	addr, err := netip.ParseAddrPort(peer)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// ownName tells whether a Host header names this machine by address or as
// localhost. A foreign name that resolves to 127.0.0.1 is how a web page gets
// around the same-origin rule.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(trimBrackets(host))
	return err == nil && addr.Unmap().IsLoopback()
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// line answers text as one line of plain text; an error may have several.
func line(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, strings.ReplaceAll(text, "\n", "; ")+"\n") // a peer that left does not want the answer
}
