package exporter

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/protocol"
)

// Metrics are the instruments of a node or an allocator. All methods may be
// called from any goroutine; they take no lock and no memory.
type Metrics struct {
	LinkMetrics
	RouteMetrics
	RouterMetrics
	GatewayMetrics

	// Heartbeats counts heartbeats received from devices.
	Heartbeats prometheus.Counter
	// ConnectionDuration gets how long each device connection lasted, in seconds, when it ends.
	ConnectionDuration prometheus.Observer
	// MessagesInFlight is how many accepted messages, counted per target, have not ended.
	MessagesInFlight prometheus.Gauge
	// MessagesStored is how many messages wait in the store for their users.
	MessagesStored prometheus.Gauge
	// DeliveriesInFlight is how many deliveries to connections have not ended.
	DeliveriesInFlight prometheus.Gauge
	// OutboundQueueBytes is the sum of bytes that wait in user space for devices.
	OutboundQueueBytes prometheus.Gauge
	// BroadcastsRunning is how many broadcasts are being handed to connections.
	BroadcastsRunning prometheus.Gauge
	// FlowWaiting is how many pushes to single users flow control holds back.
	FlowWaiting prometheus.Gauge
	// RegistryConnected is 1 while the membership of the cluster is known first hand.
	RegistryConnected prometheus.Gauge
	// RegistrySessionsLost counts sessions with the registry that expired.
	RegistrySessionsLost prometheus.Counter
	// RegistryUnreadable counts entries of the registry that could not be read as a node.
	RegistryUnreadable prometheus.Counter
	// RegistryConflicts counts attempts to announce this node where somebody else's entry is.
	RegistryConflicts prometheus.Counter

	connections       [protocol.NumTransports]prometheus.Gauge
	bound             [len(clientTypes)]prometheus.Gauge
	opened            [protocol.NumTransports]prometheus.Counter
	closed            [protocol.NumTransports][]prometheus.Counter
	handshakes        [numHandshakeKinds][numHandshakeResults]prometheus.Counter
	handshakeDuration [numHandshakeKinds]prometheus.Observer
	accepted          [numSources][len(kindNames)]prometheus.Counter
	messages          [protocol.NumOutcomes]prometheus.Counter
	deliveries        [protocol.NumOutcomes]prometheus.Counter
	deliveryDuration  [protocol.NumAckModes]prometheus.Observer
	stageDuration     [protocol.NumStages]prometheus.Observer
	slow              [NumSlowOver]prometheus.Gauge
	gatewayRequests   [numDirections][numResults]prometheus.Counter
	routesStale       [numStaleRoutes]prometheus.Counter
	storeDuration     [numStoreOperations][2]prometheus.Observer
	clusterNodes      [numNodeStates]prometheus.Gauge
	acceptErrors      [numAcceptErrors]prometheus.Counter
	poolQueue         [numPools]prometheus.Gauge
	poolRejected      [numPools]prometheus.Counter
	httpRequests      [numHTTPHandlers][numCodeClasses]prometheus.Counter

	storeMetrics
	proxyMetrics
}

// New registers every metric that a node or an allocator has and sets all their
// label values to zero. It panics if reg already has them, which is a fault of the
// program: a process has one Metrics.
func New(reg prometheus.Registerer) *Metrics {
	m := &Metrics{}
	b := builder{reg}
	m.addConnections(b)
	m.addMessages(b)
	m.addFlow(b)
	m.addCluster(b)
	m.addLinks(b)
	m.addRegistry(b)
	m.addResources(b)
	m.addRoutes(b)
	m.addRouter(b)
	m.addGateway(b)
	m.addStore(b)
	m.addProxy(b)
	return m
}

func (m *Metrics) addConnections(b builder) {
	connections := b.gauge("connections", "Device connections that are open now.", "transport")
	bound := b.gauge("bound_connections", "Device connections that are bound to a user now.", "client_type")
	opened := b.counter("connections_opened_total", "Device connections that were accepted.", "transport")
	closed := b.counter("connections_closed_total", "Device connections that ended, by the reason for it.", "transport", "reason")
	for t := range protocol.Transport(protocol.NumTransports) {
		m.connections[t] = connections.WithLabelValues(t.String())
		m.opened[t] = opened.WithLabelValues(t.String())
		m.closed[t] = closedChildren(closed, t)
	}
	m.ConnectionDuration = b.histogram("connection_duration_seconds", "How long device connections lasted that have ended.", lifeBuckets()).WithLabelValues()
	for i, t := range clientTypes {
		m.bound[i] = bound.WithLabelValues(t.String())
	}
	handshakes := b.counter("handshakes_total", "Handshakes of devices, by their result.", "kind", "result")
	duration := b.histogram("handshake_duration_seconds", "Time from the request of a handshake to its answer.", handshakeBuckets(), "kind")
	for k := range HandshakeKind(numHandshakeKinds) {
		m.handshakeDuration[k] = duration.WithLabelValues(k.String())
		for r := range HandshakeResult(numHandshakeResults) {
			m.handshakes[k][r] = handshakes.WithLabelValues(k.String(), r.String())
		}
	}
	m.Heartbeats = b.counter("heartbeats_total", "Heartbeats that devices sent.").WithLabelValues()
}

// closedChildren has a child for every reason, at the reason's number. The number
// of [protocol.CloseUnknown], which is never reported, holds that of an internal
// fault, so that a caller's mistake is seen rather than lost.
func closedChildren(closed *prometheus.CounterVec, t protocol.Transport) []prometheus.Counter {
	children := []prometheus.Counter{closed.WithLabelValues(t.String(), protocol.CloseInternal.String())}
	for _, reason := range protocol.CloseReasons() {
		children = append(children, closed.WithLabelValues(t.String(), reason.String()))
	}
	return children
}

func (m *Metrics) addMessages(b builder) {
	accepted := b.counter("messages_accepted_total", "Messages that an entry point accepted, counted per target user.", "source", "kind")
	for s := range Source(numSources) {
		for i, kind := range kindNames {
			m.accepted[s][i] = accepted.WithLabelValues(s.String(), kind)
		}
	}
	messages := b.counter("messages_total", "Accepted messages that ended, counted per target user, by where they ended.", "outcome")
	deliveries := b.counter("deliveries_total", "Deliveries to single connections that ended, by where they ended.", "outcome")
	for _, o := range protocol.Outcomes() {
		m.messages[o] = messages.WithLabelValues(o.String())
		m.deliveries[o] = deliveries.WithLabelValues(o.String())
	}
	// A message never ends as pending; a caller that says so has failed.
	m.messages[protocol.OutcomePending] = m.messages[protocol.OutcomeFailed]
	m.deliveries[protocol.OutcomePending] = m.deliveries[protocol.OutcomeFailed]
	m.MessagesInFlight = b.gauge("messages_in_flight", "Accepted messages, counted per target user, that have not ended.").WithLabelValues()
	m.MessagesStored = b.gauge("messages_stored", "Messages that wait in the store for their users.").WithLabelValues()
	m.DeliveriesInFlight = b.gauge("deliveries_in_flight", "Deliveries to single connections that have not ended.").WithLabelValues()
	delivery := b.histogram("delivery_duration_seconds", "Time from accepting a message until it was sent or acknowledged.", deliveryBuckets(), "ack")
	for a := range protocol.AckMode(protocol.NumAckModes) {
		m.deliveryDuration[a] = delivery.WithLabelValues(a.String())
	}
	stage := b.histogram("stage_duration_seconds", "Time a message took to reach a stage from the stage before it.", stageBuckets(), "stage")
	for _, s := range protocol.Stages() {
		m.stageDuration[s] = stage.WithLabelValues(s.String())
	}
}

func (m *Metrics) addCluster(b builder) {
	gateway := b.counter("gateway_requests_total", "Requests over gateway links, by their result.", "direction", "result")
	for d := range Direction(numDirections) {
		for r := range Result(numResults) {
			m.gatewayRequests[d][r] = gateway.WithLabelValues(d.String(), r.String())
		}
	}
	stale := b.counter("routes_stale_total", "Routes that led nowhere when they were used.", "kind")
	for k := range StaleRoute(numStaleRoutes) {
		m.routesStale[k] = stale.WithLabelValues(k.String())
	}
	store := b.histogram("store_duration_seconds", "Time that calls of the store took.", storeBuckets(), "operation", "result")
	for o := range StoreOperation(numStoreOperations) {
		m.storeDuration[o][0] = store.WithLabelValues(o.String(), ResultOK.String())
		m.storeDuration[o][1] = store.WithLabelValues(o.String(), ResultError.String())
	}
	m.RegistryConnected = b.gauge("registry_connected", "Whether the registry of the cluster is connected, 1 or 0.").WithLabelValues()
	nodes := b.gauge("cluster_nodes", "Nodes of the cluster, by their state.", "state")
	for s := range NodeState(numNodeStates) {
		m.clusterNodes[s] = nodes.WithLabelValues(s.String())
	}
}

func (m *Metrics) addResources(b builder) {
	m.OutboundQueueBytes = b.gauge("outbound_queue_bytes", "Bytes that wait in this process for devices to take them.").WithLabelValues()
	m.BroadcastsRunning = b.gauge("broadcasts_running", "Broadcasts that are being handed to connections now.").WithLabelValues()
	slow := b.gauge("slow_connections", "Connections whose oldest waiting bytes are older than the label says.", "over")
	for o := range SlowOver(NumSlowOver) {
		m.slow[o] = slow.WithLabelValues(o.String())
	}
	accept := b.counter("accept_errors_total", "Errors of listeners while accepting connections.", "kind")
	for e := range AcceptError(numAcceptErrors) {
		m.acceptErrors[e] = accept.WithLabelValues(e.String())
	}
	queue := b.gauge("pool_queue_length", "Tasks that wait for a worker of a bounded pool.", "pool")
	rejected := b.counter("pool_rejected_total", "Tasks that were refused because a bounded pool was full.", "pool")
	for p := range Pool(numPools) {
		m.poolQueue[p] = queue.WithLabelValues(p.String())
		m.poolRejected[p] = rejected.WithLabelValues(p.String())
	}
	requests := b.counter("http_requests_total", "Requests that the HTTP port of the allocator answered, by class of status.", "handler", "code")
	for h := range HTTPHandler(numHTTPHandlers) {
		for i, class := range codeClassNames {
			m.httpRequests[h][i] = requests.WithLabelValues(h.String(), class)
		}
	}
}
