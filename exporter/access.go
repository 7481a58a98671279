package exporter

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/protocol"
)

// Connections is the number of open device connections of a transport.
func (m *Metrics) Connections(t protocol.Transport) prometheus.Gauge {
	return m.connections[clamp(t, protocol.NumTransports)]
}

// Bound is the number of connections bound to users, of a class of devices.
func (m *Metrics) Bound(t protocol.ClientType) prometheus.Gauge { return m.bound[clientIndex(t)] }

// Opened counts the device connections that were accepted.
func (m *Metrics) Opened(t protocol.Transport) prometheus.Counter {
	return m.opened[clamp(t, protocol.NumTransports)]
}

// Closed counts the device connections that ended for a reason.
// [protocol.CloseUnknown] counts as [protocol.CloseInternal].
func (m *Metrics) Closed(t protocol.Transport, reason protocol.CloseReason) prometheus.Counter {
	children := m.closed[clamp(t, protocol.NumTransports)]
	return children[clamp(reason, len(children))]
}

// Handshakes counts handshakes by kind and result.
func (m *Metrics) Handshakes(k HandshakeKind, r HandshakeResult) prometheus.Counter {
	return m.handshakes[clamp(k, numHandshakeKinds)][clamp(r, numHandshakeResults)]
}

// HandshakeDuration takes the seconds from the request of a handshake to its answer.
func (m *Metrics) HandshakeDuration(k HandshakeKind) prometheus.Observer {
	return m.handshakeDuration[clamp(k, numHandshakeKinds)]
}

// Accepted counts the messages that an entry point took, one for each target user
// and one for a broadcast.
func (m *Metrics) Accepted(s Source, broadcast bool) prometheus.Counter {
	kind := 0
	if broadcast {
		kind = 1
	}
	return m.accepted[clamp(s, numSources)][kind]
}

// Messages counts accepted messages by where they ended.
// [protocol.OutcomePending] is no end and counts as [protocol.OutcomeFailed].
func (m *Metrics) Messages(o protocol.Outcome) prometheus.Counter {
	return m.messages[clamp(o, protocol.NumOutcomes)]
}

// Deliveries counts deliveries to single connections by where they ended.
// [protocol.OutcomePending] is no end and counts as [protocol.OutcomeFailed].
func (m *Metrics) Deliveries(o protocol.Outcome) prometheus.Counter {
	return m.deliveries[clamp(o, protocol.NumOutcomes)]
}

// DeliveryDuration takes the seconds from accepting a message until it was sent
// or acknowledged.
func (m *Metrics) DeliveryDuration(a protocol.AckMode) prometheus.Observer {
	return m.deliveryDuration[clamp(a, protocol.NumAckModes)]
}

// StageDuration takes the seconds a message took to reach a stage from the one
// before it.
func (m *Metrics) StageDuration(s protocol.Stage) prometheus.Observer {
	return m.stageDuration[clamp(s, protocol.NumStages)]
}

// SlowConnections is the number of connections whose oldest waiting bytes are
// older than o.
func (m *Metrics) SlowConnections(o SlowOver) prometheus.Gauge { return m.slow[clamp(o, NumSlowOver)] }

// GatewayRequests counts requests over gateway links.
func (m *Metrics) GatewayRequests(d Direction, r Result) prometheus.Counter {
	return m.gatewayRequests[clamp(d, numDirections)][clamp(r, numResults)]
}

// RoutesStale counts routes that led nowhere when they were used.
func (m *Metrics) RoutesStale(k StaleRoute) prometheus.Counter {
	return m.routesStale[clamp(k, numStaleRoutes)]
}

// StoreDuration takes the seconds of a call of the store. Any result but
// [ResultOK] counts as [ResultError].
func (m *Metrics) StoreDuration(o StoreOperation, r Result) prometheus.Observer {
	failed := 0
	if r != ResultOK {
		failed = 1
	}
	return m.storeDuration[clamp(o, numStoreOperations)][failed]
}

// ClusterNodes is the number of nodes in a state.
func (m *Metrics) ClusterNodes(s NodeState) prometheus.Gauge {
	return m.clusterNodes[clamp(s, numNodeStates)]
}

// AcceptErrors counts errors of listeners.
func (m *Metrics) AcceptErrors(e AcceptError) prometheus.Counter {
	return m.acceptErrors[clamp(e, numAcceptErrors)]
}

// PoolQueue is the number of tasks that wait for a worker of the pool.
func (m *Metrics) PoolQueue(p Pool) prometheus.Gauge { return m.poolQueue[clamp(p, numPools)] }

// PoolRejected counts the tasks that were refused because the pool was full.
func (m *Metrics) PoolRejected(p Pool) prometheus.Counter { return m.poolRejected[clamp(p, numPools)] }

// HTTPRequests counts answers of the allocator's HTTP port; status is the HTTP
// status, of which only the class is kept.
func (m *Metrics) HTTPRequests(h HTTPHandler, status int) prometheus.Counter {
	return m.httpRequests[clamp(h, numHTTPHandlers)][codeClass(status)]
}
