package bench

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const samplePage = `# HELP fanfare_connections Connections.
# TYPE fanfare_connections gauge
fanfare_connections{transport="tcp"} 12
fanfare_connections{transport="ws"} 3
fanfare_connections_opened_total{transport="tcp"} 99
go_goroutines 42

fanfare_messages_total{outcome="sent"} 1e+06
fanfare_messages_total{outcome="failed"} 2
fanfare_odd{text="a b"} NaN
`

func TestParseMetrics(t *testing.T) {
	page := must(parseMetrics(strings.NewReader(samplePage)))(t)
	if got := page.sum("fanfare_connections"); got != 15 {
		t.Errorf("sum = %v, want 15", got)
	}
	if got := page.sum("go_goroutines"); got != 42 {
		t.Errorf("goroutines = %v, want 42", got)
	}
	byOutcome := page.byLabel("fanfare_messages_total", "outcome")
	if len(byOutcome) != 2 || byOutcome["sent"] != 1e6 || byOutcome["failed"] != 2 {
		t.Errorf("outcomes = %v", byOutcome)
	}
	for _, bad := range []string{"lonely", "name value"} {
		if _, err := parseMetrics(strings.NewReader(bad)); err == nil {
			t.Errorf("parseMetrics(%q) succeeded", bad)
		}
	}
}

func TestFetchMetrics(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(samplePage))
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if page := must(fetchMetrics(t.Context(), server.URL))(t); page["go_goroutines"] != 42 {
		t.Errorf("page %v", page)
	}
	status = http.StatusServiceUnavailable
	if _, err := fetchMetrics(t.Context(), server.URL); err == nil {
		t.Error("a page with status 503 was read")
	}
}

func TestReadBooks(t *testing.T) {
	before := metrics{
		`fanfare_messages_accepted_total{kind="unicast",source="gateway"}`: 10,
		`fanfare_messages_total{outcome="sent"}`:                           9,
		`fanfare_messages_total{outcome="offline"}`:                        1,
	}
	after := metrics{
		`fanfare_messages_accepted_total{kind="unicast",source="gateway"}`:   100,
		`fanfare_messages_accepted_total{kind="broadcast",source="gateway"}`: 5,
		`fanfare_messages_total{outcome="sent"}`:                             80,
		`fanfare_messages_total{outcome="offline"}`:                          20,
		"fanfare_messages_in_flight":                                         5,
	}
	got := readBooks(before, after)
	if got.Accepted != 95 || got.ended() != 90 || got.Balanced {
		t.Errorf("with 5 in flight: %+v", got)
	}
	after["fanfare_messages_in_flight"] = 0
	after[`fanfare_messages_total{outcome="acked"}`] = 5
	if got := readBooks(before, after); !got.Balanced || got.Outcomes["offline"] != 19 {
		t.Errorf("all ended: %+v", got)
	}
}
