package exporter

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Build says which program this is, as fanfare_build_info shows it.
type Build struct{ Version, Revision, GoVersion string }

// NewRegistry makes the registry of a process, with the collectors of the Go
// runtime and of the process, with fanfare_build_info and fanfare_memory_limit_bytes.
func NewRegistry(b Build) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	info := builder{reg}.gauge("build_info", "Which build of Fanfare this is; the value is always 1.", "version", "revision", "goversion")
	info.WithLabelValues(b.Version, b.Revision, b.GoVersion).Set(1)
	addMemoryLimit(reg)
	return reg
}

// Bounds of one /metrics handler. A scrape that takes longer than a Prometheus
// waits for it is given up, and a crowd of them is turned away.
const (
	scrapeTimeout  = 8 * time.Second
	scrapesAtATime = 4
)

// Handler answers /metrics from reg. It serves what could be gathered when a part
// fails, and logs the failure. More than four scrapes at a time get 503, as does
// one that takes longer than eight seconds.
func Handler(reg prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesAtATime,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	})
}

// scrapeLog lets promhttp report through slog.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.log.Error("could not gather all metrics", "err", fmt.Sprint(v...))
}
