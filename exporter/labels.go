package exporter

import "github.com/fanfare-push/fanfare/protocol"

// HandshakeKind is how a connection introduced itself.
type HandshakeKind uint8

// The kinds of handshake.
const (
	Full  HandshakeKind = iota // key exchange with RSA
	Fast                       // resumed session, no RSA
	Plain                      // without encryption, as over WebSocket

	numHandshakeKinds = int(Plain) + 1
)

var handshakeKindNames = [numHandshakeKinds]string{"full", "fast", "plain"}

// String is the label value.
func (k HandshakeKind) String() string { return handshakeKindNames[clamp(k, numHandshakeKinds)] }

// HandshakeResult is how a handshake ended.
type HandshakeResult uint8

// The results of a handshake.
const (
	HandshakeOK       HandshakeResult = iota // the connection may go on
	HandshakeRefused                         // understood and refused, as an expired session is
	HandshakeFailed                          // could not be decrypted or decoded
	HandshakeOverload                        // the node had no room in the pool that does the work

	numHandshakeResults = int(HandshakeOverload) + 1
)

var handshakeResultNames = [numHandshakeResults]string{"ok", "refused", "failed", "overload"}

// String is the label value.
func (r HandshakeResult) String() string { return handshakeResultNames[clamp(r, numHandshakeResults)] }

// Source is the entry point that accepted a message.
type Source uint8

// The entry points.
const (
	SourceAPI     Source = iota // the HTTP API of the allocator
	SourceGateway               // a back end over the gateway protocol
	SourceDevice                // a device that pushes
	SourceAdmin                 // the admin console of a node

	numSources = int(SourceAdmin) + 1
)

var sourceNames = [numSources]string{"api", "gateway", "device", "admin"}

// String is the label value.
func (s Source) String() string { return sourceNames[clamp(s, numSources)] }

var kindNames = [2]string{"unicast", "broadcast"}

// SlowOver is how long bytes have waited for a slow connection.
type SlowOver uint8

// The ages that are watched. A connection counts in each that it is over.
const (
	Over1s SlowOver = iota
	Over10s
	Over60s

	// NumSlowOver sizes arrays indexed by SlowOver.
	NumSlowOver = int(Over60s) + 1
)

var slowOverNames = [NumSlowOver]string{"1s", "10s", "60s"}

// String is the label value.
func (o SlowOver) String() string { return slowOverNames[clamp(o, NumSlowOver)] }

// Direction is which side asked on a gateway link.
type Direction uint8

// The directions of a gateway request.
const (
	DirectionIn  Direction = iota // a back end or another node asked us
	DirectionOut                  // we asked another node

	numDirections = int(DirectionOut) + 1
)

var directionNames = [numDirections]string{"in", "out"}

// String is the label value.
func (d Direction) String() string { return directionNames[clamp(d, numDirections)] }

// Result is how a request to a gateway or to the store ended. The store knows
// only [ResultOK] and [ResultError].
type Result uint8

// The results of a request.
const (
	ResultOK      Result = iota // done as asked
	ResultOffline               // the user has no connection there
	ResultRefused               // not understood, not allowed or no room
	ResultTimeout               // no answer in time
	ResultError                 // anything else; the log line says what

	numResults = int(ResultError) + 1
)

var resultNames = [numResults]string{"ok", "offline", "refused", "timeout", "error"}

// String is the label value.
func (r Result) String() string { return resultNames[clamp(r, numResults)] }

// ResultOf is the outcome of a push as the result of the request that asked for it.
func ResultOf(o protocol.Outcome) Result {
	switch o {
	case protocol.OutcomeAcked, protocol.OutcomeSent:
		return ResultOK
	case protocol.OutcomeOffline, protocol.OutcomeFiltered:
		return ResultOffline
	case protocol.OutcomeRejected:
		return ResultRefused
	case protocol.OutcomeAckTimeout:
		return ResultTimeout
	}
	return ResultError
}

// StoreOperation is a call of the store of sessions and routes.
type StoreOperation uint8

// The operations of the store.
const (
	StoreSaveSession StoreOperation = iota
	StoreLoadSession
	StorePutRoute
	StoreDropRoute
	StoreRoutes
	StoreRestore     // routes written again after the store came back
	StoreSweep       // one walk over all routes
	StoreOnlineUsers // length of an online list
	StoreLease
	StoreSendKick
	StoreTask
	StoreTaskReached
	StorePing

	numStoreOperations = int(StorePing) + 1
)

var storeOperationNames = [numStoreOperations]string{
	"save_session", "load_session", "put_route", "drop_route", "routes",
	"restore", "sweep", "online_users", "lease", "send_kick", "task", "task_reached", "ping",
}

// String is the label value.
func (o StoreOperation) String() string { return storeOperationNames[clamp(o, numStoreOperations)] }

// AcceptError is why a listener could not accept a connection.
type AcceptError uint8

// The kinds of accept errors.
const (
	AcceptEMFILE AcceptError = iota // no file descriptor left, in the process or in the system
	AcceptOther

	numAcceptErrors = int(AcceptOther) + 1
)

var acceptErrorNames = [numAcceptErrors]string{"emfile", "other"}

// String is the label value.
func (e AcceptError) String() string { return acceptErrorNames[clamp(e, numAcceptErrors)] }

// Pool is a bounded pool of workers of a node.
type Pool uint8

// The pools.
const (
	PoolRSA   Pool = iota // decrypts the key exchange
	PoolStore             // talks to the store

	numPools = int(PoolStore) + 1
)

var poolNames = [numPools]string{"rsa", "store"}

// String is the label value.
func (p Pool) String() string { return poolNames[clamp(p, numPools)] }

// StaleRoute is why a route led nowhere.
type StaleRoute uint8

// The kinds of stale routes.
const (
	StaleNode       StaleRoute = iota // the node it names is gone
	StaleConnection                   // the node is there, the connection is not

	numStaleRoutes = int(StaleConnection) + 1
)

var staleRouteNames = [numStaleRoutes]string{"node", "connection"}

// String is the label value.
func (k StaleRoute) String() string { return staleRouteNames[clamp(k, numStaleRoutes)] }

// NodeState is where a node of the cluster stands in its life.
type NodeState uint8

// The states of a node.
const (
	NodeServing NodeState = iota
	NodeDraining
	NodeLost

	numNodeStates = int(NodeLost) + 1
)

var nodeStateNames = [numNodeStates]string{"serving", "draining", "lost"}

// String is the label value.
func (s NodeState) String() string { return nodeStateNames[clamp(s, numNodeStates)] }

// HTTPHandler is a group of paths of the allocator's HTTP port.
type HTTPHandler uint8

// The groups of paths.
const (
	HandlerServers  HTTPHandler = iota // GET /, the node list for devices
	HandlerDemoPush                    // POST /push, MPush's demo call
	HandlerConsole                     // the console's page and its files
	HandlerPush                        // POST /api/v1/push
	HandlerMessages                    // GET /api/v1/messages/{id}
	HandlerCancel                      // POST /api/v1/messages/{id}/cancel
	HandlerUsers                       // GET /api/v1/users/{user}
	HandlerKick                        // POST /api/v1/users/{user}/kick
	HandlerNodes                       // GET /api/v1/nodes
	HandlerDrain                       // POST /api/v1/nodes/{id}/drain
	HandlerEvents                      // GET /api/v1/events
	HandlerSD                          // GET /sd/prometheus
	HandlerOther                       // anything else, as unknown paths and health checks

	numHTTPHandlers = int(HandlerOther) + 1
)

var httpHandlerNames = [numHTTPHandlers]string{
	"servers", "demo_push", "console", "push", "messages", "cancel", "users", "kick", "nodes", "drain", "events", "sd", "other",
}

// String is the label value.
func (h HTTPHandler) String() string { return httpHandlerNames[clamp(h, numHTTPHandlers)] }

const numCodeClasses = 4

var codeClassNames = [numCodeClasses]string{"2xx", "3xx", "4xx", "5xx"}

// codeClass is the index of an HTTP status in codeClassNames; what is no final
// status counts as a fault of the server.
func codeClass(status int) int {
	if status < 200 || status > 599 {
		return numCodeClasses - 1
	}
	return status/100 - 2
}

var clientTypes = [...]protocol.ClientType{
	protocol.ClientUnknown, protocol.ClientMobile, protocol.ClientPC, protocol.ClientWeb,
}

// clientIndex is the index of t in clientTypes.
func clientIndex(t protocol.ClientType) int {
	if t < protocol.ClientMobile || t > protocol.ClientWeb {
		return 0
	}
	return int(t)
}

// clamp makes an index of an enumeration with n members: a value that is none of
// them counts as the last, so that a fault elsewhere cannot end the process.
func clamp[T ~uint8](v T, n int) int { return min(int(v), n-1) }
