package dingtalk

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

// Bounds of the server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 16 << 10
	maxConns          = 512      // one more is closed at once
	maxBodies         = 16 << 20 // bytes of them in memory at a time
	leastBody         = 64 << 10 // that each counts for
	bodyWait          = 10 * time.Second
	retryAfter        = "10" // seconds
)

func (b *Bridge) newServer() {
	b.server = http.Server{
		Handler: b.routes(), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnState: b.limitConns,
		ErrorLog: slog.NewLogLogger(b.options.Logger.Handler(), slog.LevelDebug),
	}
}

func (b *Bridge) serve() {
	defer close(b.served)
	listener := exporter.NewListener(b.options.Listener, exporter.ListenerOptions{Port: "dingtalk", Logger: b.options.Logger})
	if err := b.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		b.options.Logger.Error("the bridge's port stopped serving", "address", b.Addr().String(), "err", err)
	}
}

// limitConns closes connections beyond the limit before anything is read from them.
func (b *Bridge) limitConns(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if b.conns.Add(1) > maxConns {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		b.conns.Add(-1)
	}
}

func (b *Bridge) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /dingtalk/{target}/send", b.webhook)
	mux.HandleFunc("POST /deadman/{name}", b.heartbeat)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "OK") })
	mux.HandleFunc("GET /-/ready", b.ready)
	mux.HandleFunc("POST /-/reload", b.reload)
	mux.HandleFunc("PUT /-/reload", b.reload)
	mux.Handle("GET /metrics", exporter.Handler(b.options.Registry, b.options.Logger))
	mux.HandleFunc("GET /ack", b.confirm)
	mux.HandleFunc("POST /ack", b.acknowledge)
	mux.HandleFunc("GET /{$}", b.landing)
	mux.HandleFunc("GET /ui", b.ui)
	mux.HandleFunc("GET /api/v1/status/config", b.showConfig)
	mux.HandleFunc("GET /api/v1/status/buildinfo", b.showBuild)
	return safe(mux)
}

// safe sets what keeps browsers from doing more with a page than show it.
func safe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // an acknowledge link is a secret
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// refuse answers a request that may be sent again.
func refuse(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", retryAfter)
	answer(w, http.StatusServiceUnavailable, text)
}

func (b *Bridge) ready(w http.ResponseWriter, _ *http.Request) {
	if err := b.spool.Err(); err != nil {
		refuse(w, "not ready: the spool in "+b.options.DataDir+" cannot be written: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "OK")
}

func (b *Bridge) reload(w http.ResponseWriter, _ *http.Request) {
	if !b.options.EnableLifecycle {
		answer(w, http.StatusForbidden, "reloading over HTTP is turned off; start with --web.enable-lifecycle, or send SIGHUP")
		return
	}
	if err := b.Reload(); err != nil {
		answer(w, http.StatusInternalServerError, "failed to reload config: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "OK")
}

const uiOff = "the page is turned off; start with --web.enable-ui"

// showConfig answers as prometheus-webhook-dingtalk does: the YAML within JSON.
func (b *Bridge) showConfig(w http.ResponseWriter, _ *http.Request) {
	if !b.options.EnableUI {
		answer(w, http.StatusNotFound, uiOff)
		return
	}
	success(w, map[string]string{"yaml": b.setup.Load().config.Show()})
}

func (b *Bridge) showBuild(w http.ResponseWriter, _ *http.Request) {
	success(w, map[string]string{"version": b.options.Version})
}

func success(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data}) // the client has gone
}
