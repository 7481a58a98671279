package main

import (
	"log/slog"
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// The defaults of the configuration are those of the package.
func TestProxyDefaults(t *testing.T) {
	log, m := slog.New(slog.DiscardHandler), exporter.New(prometheus.NewRegistry())
	want := proxy.DefaultOptions()
	want.Logger, want.Metrics = log, m
	want.Allow, want.AllowPrivate, want.DNSMapping = []string{}, []string{}, []string{}
	if got := proxyOptions(config.Default().Proxy, log, m); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A node has a proxy where the configuration says so.
func TestMakeProxy(t *testing.T) {
	for _, on := range []bool{false, true} {
		c := config.Default()
		c.Proxy.Enabled, c.Proxy.Allow = on, []string{"https://*.example.com"}
		s := newProcess(t.Context(), config.RoleNode, c, slog.New(slog.DiscardHandler))
		if err := s.makeProxy(); err != nil {
			t.Fatal(err)
		}
		if (s.proxy != nil) != on {
			t.Errorf("enabled %t: made %t", on, s.proxy != nil)
		}
		if err := s.parts.stop(); err != nil {
			t.Error(err)
		}
	}
}
