package store

import (
	"context"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Store is what outlives a connection: sessions, routes, and what nodes tell each
// other about them. [Embedded] is that of a single node, [Redis] that of a cluster.
// All methods may be called at any time from any goroutine; those with a context
// return its error when it ends. Errors are of the store, never of the data: what
// cannot be read as a session or route is logged, counted and treated as absent.
type Store interface {
	// SaveSession keeps a session under its id, replacing an earlier one. A session
	// that has expired already is not kept.
	SaveSession(ctx context.Context, id string, v Session) error
	// LoadSession finds a session; false if it is unknown or has expired.
	LoadSession(ctx context.Context, id string) (Session, bool, error)

	// PutRoute makes r the online route of the user for r's client type and returns
	// the route it replaced, online or not. A zero Since means now. The user is put on
	// the online list of r.PublicIP and the change is announced as online.
	PutRoute(ctx context.Context, user string, r Route) (old Route, had bool, err error)
	// DropRoute takes the user's route of r.ClientType offline if r.Connection still
	// owns it; otherwise it changes no route and returns false. Either way the user
	// leaves the online list of r.PublicIP unless an online route remains that is on
	// that list or on r.Address. A route that went offline is announced as offline if
	// it was the last.
	DropRoute(ctx context.Context, user string, r Route) (bool, error)
	// Restore writes routes again that the store may have lost, in few round trips. A
	// route is written if there is none, if it is offline, belongs to the same
	// connection or came online earlier. taken holds the indexes of the others, whose
	// users are connected elsewhere by now, with the route that stands instead.
	Restore(ctx context.Context, routes []UserRoute) (taken map[int]Route, err error)
	// Routes lists each user's routes, online and offline, at most one of each client
	// type in the order of [protocol.ClientTypes], in one round trip.
	Routes(ctx context.Context, users ...string) ([][]Route, error)
	// Sweep walks over all routes, about pace a second, and takes those offline that
	// stale reports, if they have not changed meanwhile. At the end it also takes
	// users without an online route off the online list of publicIP, if that is given.
	Sweep(ctx context.Context, pace int, publicIP string, stale func(user string, r Route) bool) (SweepReport, error)
	// OnlineUsers is the length of the online list of publicIP.
	OnlineUsers(ctx context.Context, publicIP string) (int, error)
	// Lease takes a named lease for the given time, so that one of many nodes does a
	// job; false if somebody has it.
	Lease(ctx context.Context, name string, ttl time.Duration) (bool, error)

	// SendKick tells the node at k.Address that a user's connection there was replaced
	// or is to end.
	SendKick(ctx context.Context, k Kick) error
	// Kicks calls kicked for every kick sent to address until the returned function
	// has returned, one call at a time. joined is called whenever it starts to listen,
	// also after an interruption in which kicks may have been missed.
	Kicks(address string, kicked func(Kick), joined func()) (stop func())

	// Task adds sent to the count of a broadcast task and returns how it is to go on.
	Task(ctx context.Context, task string, sent int) (TaskState, error)
	// TaskReached appends users to the list of those that a task has reached.
	TaskReached(ctx context.Context, task string, users []string) error

	// Ping tells whether the store works.
	Ping(ctx context.Context) error
	// Close releases what the store holds. Further calls return nil.
	Close() error
}

// UserRoute is a route with its user.
type UserRoute struct {
	User string
	Route
}

// Kick says that a connection lost its user to another, or is to end. Its text form
// is MPush's (PROTOCOL section 5.3).
type Kick struct {
	User       string
	DeviceID   string // of the connection that is kicked
	Connection string
	ClientType protocol.ClientType
	Address    string // host:port of the gateway of the node that holds it
}

// TaskState steers a broadcast that has a task id (PROTOCOL section 5.5).
type TaskState struct {
	Rate      int // messages per second and node
	Cancelled bool
	Sent      int // by all nodes
}

// DefaultTaskRate is the rate of a task that sets none.
const DefaultTaskRate = 1000

// SweepReport is what a sweep did.
type SweepReport struct {
	Routes   int // seen, online or not
	Stale    int // taken offline
	Unlisted int // users taken off the online list
}
