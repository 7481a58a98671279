package exporter

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	transports = "tcp|tls|ws|wss"
	outcomes   = "acked|sent|ack_timeout|offline|expired|evicted|collapsed|filtered|rejected|slow|node_lost|failed"
	reasons    = "peer|reset|capacity|tls|handshake_timeout|idle|too_large|bad_frame|bad_body|bad_request|unsupported|" +
		"bind_refused|overload|slow_bytes|slow_age|write|kicked|replaced|drain|shutdown|store|internal"
)

// contract is the table of metric names that dashboards and alert rules of others
// rely on: name, type, and each label with its values. A line may be added; one
// that is changed breaks them.
var contract = []string{
	"fanfare_connections gauge transport=" + transports,
	"fanfare_bound_connections gauge client_type=mobile|pc|web|unknown",
	"fanfare_connections_opened_total counter transport=" + transports,
	"fanfare_connections_closed_total counter transport=" + transports + " reason=" + reasons,
	"fanfare_handshakes_total counter kind=full|fast|plain result=ok|refused|failed|overload",
	"fanfare_handshake_duration_seconds histogram kind=full|fast|plain",
	"fanfare_heartbeats_total counter",
	"fanfare_messages_accepted_total counter source=api|gateway|device|admin kind=unicast|broadcast",
	"fanfare_messages_total counter outcome=" + outcomes,
	"fanfare_messages_in_flight gauge",
	"fanfare_messages_stored gauge",
	"fanfare_deliveries_total counter outcome=" + outcomes,
	"fanfare_deliveries_in_flight gauge",
	"fanfare_delivery_duration_seconds histogram ack=none|auto|biz",
	"fanfare_stage_duration_seconds histogram stage=accepted|routed|forwarded|queued|written|acked",
	"fanfare_outbound_queue_bytes gauge",
	"fanfare_slow_connections gauge over=1s|10s|60s",
	"fanfare_gateway_requests_total counter direction=in|out result=ok|offline|refused|timeout|error",
	"fanfare_routes_stale_total counter kind=node|connection",
	"fanfare_store_duration_seconds histogram operation=save_session|load_session|put_route|drop_route|routes|" +
		"restore|sweep|online_users|lease|send_kick|task|task_reached|ping result=ok|error",
	"fanfare_registry_connected gauge",
	"fanfare_cluster_nodes gauge state=serving|draining|lost",
	"fanfare_broadcasts_running gauge",
	// Ours beyond the contract.
	"fanfare_flow_waiting gauge",
	"fanfare_connection_duration_seconds histogram",
	"fanfare_links gauge state=up|down",
	"fanfare_link_queue_bytes gauge",
	"fanfare_link_reconnects_total counter",
	"fanfare_link_round_trip_seconds histogram",
	"fanfare_routes_restored_total counter",
	"fanfare_routes_sweep_timestamp_seconds gauge",
	"fanfare_route_drops_waiting gauge",
	"fanfare_route_sweeps_total counter result=ok|error",
	"fanfare_kicks_total counter direction=in|out result=ok|error",
	"fanfare_pushes_retried_total counter result=ok|offline|refused|timeout|error",
	"fanfare_gateway_refused_total counter reason=address|full|secret",
	"fanfare_accept_errors_total counter kind=emfile|other",
	"fanfare_pool_queue_length gauge pool=rsa|store",
	"fanfare_pool_rejected_total counter pool=rsa|store",
	"fanfare_store_unreadable_total counter kind=session|route|kick|task",
	"fanfare_kicks_listening gauge",
	"fanfare_kicks_joined_total counter",
	"fanfare_http_proxy_requests_total counter result=ok|refused|bad_request|timeout|connect|upstream|too_large|overload|gone",
	"fanfare_http_proxy_duration_seconds histogram",
	"fanfare_http_proxy_running gauge",
	"fanfare_registry_sessions_lost_total counter",
	"fanfare_registry_unreadable_total counter",
	"fanfare_registry_conflicts_total counter",
	"fanfare_http_requests_total counter code=2xx|3xx|4xx|5xx " +
		"handler=servers|demo_push|console|push|messages|cancel|users|kick|nodes|drain|events|sd|other",
}

func TestContractNamesAndLabels(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	keepsContract(t, reg, contract)
}

// keepsContract holds what is gathered against a table.
func keepsContract(t *testing.T, reg prometheus.Gatherer, contract []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, f := range families {
		got[f.GetName()] = describe(f)
	}
	for _, row := range contract {
		name, rest, _ := strings.Cut(row, " ")
		if want := name + " " + canonical(rest); got[name] != want {
			t.Errorf("got  %s\nwant %s", got[name], want)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is not in the table", name)
	}
}

// describe writes a family as a row of the table and how many children it has,
// which must be the whole product of the labels, so that none is missing.
func describe(f *dto.MetricFamily) string {
	values := make(map[string]map[string]bool)
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if values[l.GetName()] == nil {
				values[l.GetName()] = make(map[string]bool)
			}
			values[l.GetName()][l.GetValue()] = true
		}
	}
	var labels []string
	for name, set := range values {
		labels = append(labels, name+"="+strings.Join(slices.Collect(maps.Keys(set)), "|"))
	}
	row := strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, " ")
	return f.GetName() + " " + withChildren(row, len(f.GetMetric()))
}

// canonical brings a row of the table into the form of describe.
func canonical(row string) string {
	children := 1
	for _, field := range strings.Fields(row)[1:] {
		children *= strings.Count(field, "|") + 1
	}
	return withChildren(row, children)
}

func withChildren(row string, n int) string {
	fields := strings.Fields(row)
	for i, field := range fields[1:] {
		name, values, _ := strings.Cut(field, "=")
		fields[i+1] = name + "=" + strings.Join(slices.Sorted(slices.Values(strings.Split(values, "|"))), "|")
	}
	slices.Sort(fields[1:])
	return fmt.Sprintf("%s (%d)", strings.Join(fields, " "), n)
}

func TestAllStartAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetCounter().GetValue() != 0 || m.GetGauge().GetValue() != 0 || m.GetHistogram().GetSampleCount() != 0 {
				t.Errorf("%s starts at %v", f.GetName(), m)
			}
		}
	}
}

func TestLint(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestHelpTextsAreSentences(t *testing.T) {
	reg := NewRegistry(Build{})
	New(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		help := f.GetHelp()
		if strings.HasPrefix(f.GetName(), prefix) && (len(strings.Fields(help)) < 4 || !strings.HasSuffix(help, ".") || help[:1] != strings.ToUpper(help[:1])) {
			t.Errorf("%s: %q is no sentence", f.GetName(), help)
		}
	}
}

// Prometheus 3 writes le="1.0" where Prometheus 2 writes le="1".
func TestBucketsAvoidWholeNumbers(t *testing.T) {
	for name, buckets := range map[string][]float64{
		"delivery": deliveryBuckets(), "stage": stageBuckets(), "handshake": handshakeBuckets(), "store": storeBuckets(), "proxy": proxyBuckets(),
	} {
		for i, b := range buckets {
			if b == math.Trunc(b) {
				t.Errorf("%s: the bound %v is a whole number", name, b)
			}
			if i > 0 && b <= buckets[i-1] {
				t.Errorf("%s: the bound %v does not rise", name, b)
			}
		}
		if !slices.Contains(buckets, 0.25) {
			t.Errorf("%s: no bound 0.25 for the objectives", name)
		}
	}
}

func TestRegisteredTwicePanics(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	defer func() {
		if recover() == nil {
			t.Error("a second set of the same metrics went unnoticed")
		}
	}()
	New(reg)
}

// accessors are all ways to an instrument, each with a usual value.
func accessors(m *Metrics) map[string]func() any {
	return map[string]func() any{
		"Connections":       func() any { return m.Connections(protocol.WSS) },
		"Bound":             func() any { return m.Bound(protocol.ClientWeb) },
		"Opened":            func() any { return m.Opened(protocol.TLS) },
		"Closed":            func() any { return m.Closed(protocol.WS, protocol.CloseInternal) },
		"Handshakes":        func() any { return m.Handshakes(Plain, HandshakeOverload) },
		"HandshakeDuration": func() any { return m.HandshakeDuration(Fast) },
		"Accepted":          func() any { return m.Accepted(SourceAdmin, true) },
		"Messages":          func() any { return m.Messages(protocol.OutcomeFailed) },
		"Deliveries":        func() any { return m.Deliveries(protocol.OutcomeAcked) },
		"DeliveryDuration":  func() any { return m.DeliveryDuration(protocol.AckBiz) },
		"StageDuration":     func() any { return m.StageDuration(protocol.StageAcked) },
		"SlowConnections":   func() any { return m.SlowConnections(Over60s) },
		"GatewayRequests":   func() any { return m.GatewayRequests(DirectionOut, ResultError) },
		"RoutesStale":       func() any { return m.RoutesStale(StaleConnection) },
		"StoreDuration":     func() any { return m.StoreDuration(StoreRoutes, ResultError) },
		"ClusterNodes":      func() any { return m.ClusterNodes(NodeLost) },
		"AcceptErrors":      func() any { return m.AcceptErrors(AcceptOther) },
		"Links":             func() any { return m.Links(LinkDown) },
		"PoolQueue":         func() any { return m.PoolQueue(PoolStore) },
		"PoolRejected":      func() any { return m.PoolRejected(PoolStore) },
		"ProxyRequests":     func() any { return m.ProxyRequests(ProxyGone) },
		"ProxyDuration":     func() any { return m.ProxyDuration() },
		"HTTPRequests":      func() any { return m.HTTPRequests(HandlerOther, http.StatusTeapot) },
	}
}

func TestAccessorsTakeNoMemory(t *testing.T) {
	m := New(prometheus.NewRegistry())
	for name, access := range accessors(m) {
		if access() == nil {
			t.Errorf("%s returned nil", name)
		}
		if n := testing.AllocsPerRun(100, func() { access() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		m.Messages(protocol.OutcomeSent).Inc()
		m.DeliveryDuration(protocol.AckNone).Observe(0.1)
		m.Connections(protocol.TCP).Inc()
	}); n != 0 {
		t.Errorf("counting: %v allocations", n)
	}
}

// Every accessor must lead to the child that has its arguments as label values.
func TestAccessorsLeadToTheirLabels(t *testing.T) {
	m := New(prometheus.NewRegistry())
	for t1 := range protocol.Transport(protocol.NumTransports) {
		wantLabels(t, m.Connections(t1), t1)
		wantLabels(t, m.Opened(t1), t1)
		for _, r := range protocol.CloseReasons() {
			wantLabels(t, m.Closed(t1, r), r, t1)
		}
	}
	for _, c := range protocol.ClientTypes() {
		wantLabels(t, m.Bound(c), c)
	}
	for k := range HandshakeKind(numHandshakeKinds) {
		wantLabels(t, m.HandshakeDuration(k).(prometheus.Metric), k)
		for r := range HandshakeResult(numHandshakeResults) {
			wantLabels(t, m.Handshakes(k, r), k, r)
		}
	}
	for s := range Source(numSources) {
		wantLabels(t, m.Accepted(s, false), word("unicast"), s)
		wantLabels(t, m.Accepted(s, true), word("broadcast"), s)
	}
	for _, o := range protocol.Outcomes() {
		wantLabels(t, m.Messages(o), o)
		wantLabels(t, m.Deliveries(o), o)
	}
	for a := range protocol.AckMode(protocol.NumAckModes) {
		wantLabels(t, m.DeliveryDuration(a).(prometheus.Metric), a)
	}
	for _, s := range protocol.Stages() {
		wantLabels(t, m.StageDuration(s).(prometheus.Metric), s)
	}
}

func TestAccessorsLeadToTheirLabelsInTheCluster(t *testing.T) {
	m := New(prometheus.NewRegistry())
	for o := range SlowOver(NumSlowOver) {
		wantLabels(t, m.SlowConnections(o), o)
	}
	for d := range Direction(numDirections) {
		for r := range Result(numResults) {
			wantLabels(t, m.GatewayRequests(d, r), d, r)
		}
	}
	for k := range StaleRoute(numStaleRoutes) {
		wantLabels(t, m.RoutesStale(k), k)
	}
	for o := range StoreOperation(numStoreOperations) {
		wantLabels(t, m.StoreDuration(o, ResultOK).(prometheus.Metric), o, ResultOK)
		wantLabels(t, m.StoreDuration(o, ResultTimeout).(prometheus.Metric), o, ResultError)
	}
	for s := range NodeState(numNodeStates) {
		wantLabels(t, m.ClusterNodes(s), s)
	}
	for s := range LinkState(numLinkStates) {
		wantLabels(t, m.Links(s), s)
	}
	for e := range AcceptError(numAcceptErrors) {
		wantLabels(t, m.AcceptErrors(e), e)
	}
	for p := range Pool(numPools) {
		wantLabels(t, m.PoolQueue(p), p)
		wantLabels(t, m.PoolRejected(p), p)
	}
	for r := range ProxyResult(numProxyResults) {
		wantLabels(t, m.ProxyRequests(r), r)
	}
	for h := range HTTPHandler(numHTTPHandlers) {
		for status, class := range map[int]string{
			200: "2xx", 202: "2xx", 304: "3xx", 404: "4xx", 499: "4xx", 503: "5xx", 0: "5xx", 100: "5xx", 999: "5xx",
		} {
			wantLabels(t, m.HTTPRequests(h, status), word(class), h)
		}
	}
}

// A value that no enumeration has must be counted somewhere sensible.
func TestStrayValuesAreCounted(t *testing.T) {
	m := New(prometheus.NewRegistry())
	wantLabels(t, m.Closed(protocol.TCP, protocol.CloseUnknown), protocol.CloseInternal, protocol.TCP)
	wantLabels(t, m.Closed(protocol.TCP, 255), protocol.CloseInternal, protocol.TCP)
	wantLabels(t, m.Messages(protocol.OutcomePending), protocol.OutcomeFailed)
	wantLabels(t, m.Deliveries(255), protocol.OutcomeFailed)
	wantLabels(t, m.Bound(protocol.ClientType(100)), protocol.ClientUnknown)
	wantLabels(t, m.Bound(protocol.ClientType(-100)), protocol.ClientUnknown)
	wantLabels(t, m.GatewayRequests(9, 9), DirectionOut, ResultError)
	wantLabels(t, m.HTTPRequests(99, 200), word("2xx"), HandlerOther)
}

type word string

func (w word) String() string { return string(w) }

// wantLabels compares the label values of an instrument, in order of the labels'
// names.
func wantLabels(t *testing.T, m prometheus.Metric, want ...fmt.Stringer) {
	t.Helper()
	labels := read(m).GetLabel()
	if len(labels) != len(want) {
		t.Fatalf("%v has %d labels, want %v", m.Desc(), len(labels), want)
	}
	for i, l := range labels {
		if l.GetValue() != want[i].String() {
			t.Errorf("%v: %s is %q, want %q", m.Desc(), l.GetName(), l.GetValue(), want[i])
		}
	}
}

func BenchmarkCount(b *testing.B) {
	m := New(prometheus.NewRegistry())
	b.ReportAllocs()
	for b.Loop() {
		m.Messages(protocol.OutcomeSent).Inc()
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(prometheus.NewRegistry())
	b.ReportAllocs()
	for b.Loop() {
		m.DeliveryDuration(protocol.AckAuto).Observe(0.03)
	}
}
