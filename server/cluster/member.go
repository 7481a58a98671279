// Package cluster knows the nodes of a Fanfare cluster and how to hand work to
// them: a [Registry] says who they are, a [Link] talks to one of them over the
// gateway protocol, a [Mesh] keeps a link to each, and a [Router] finds the nodes
// that a user's devices are connected to.
package cluster

import (
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Push is a message on its way to one user, to many or to everybody. It is
// shared by all its deliveries and must not change once it was handed over.
type Push struct {
	ID          string                // the message id, never empty
	Content     []byte                // what the device gets, never empty
	Ack         protocol.AckMode      // what the device is asked for
	AckTimeout  time.Duration         // how long to wait for the ack; 0 = the node's default
	ClientTypes []protocol.ClientType // only these classes of devices; empty = all
	Tags        []string              // only connections with at least one of these tags; empty = all
	Condition   Condition             // only connections for which it holds; nil = all
	Task        string                // MPush's task id, whose counters in the store steer a broadcast; empty = none
	Rate        int                   // a broadcast's connections per second on each node; 0 = the node's default, negative = no limit
	Deadline    time.Time             // when the sender stops waiting: what was not handed to a node by then ends as failed; zero = never
	Accepted    time.Time             // when the entry point took it
}

// Selective reports whether the push is for some connections only.
func (p *Push) Selective() bool {
	return len(p.ClientTypes) > 0 || len(p.Tags) > 0 || p.Condition != nil
}

// Condition is a compiled filter over a connection's facts. Match is called from
// several goroutines and must not block.
type Condition interface {
	Match(Facts) bool
	// String is the text that [Compile] made it of.
	String() string
}

// Facts are what a [Condition] may ask about a connection.
type Facts struct {
	User, Tags, ClientVersion, OSName, OSVersion string
}

// Result is the end of a push for one user, or of a whole broadcast.
type Result struct {
	// User is the target, set by [Member.PushAll] alone.
	User string
	// Unsent: the node never got the push, so another may have it. Only links say so,
	// with [protocol.OutcomeNodeLost] or [protocol.OutcomeRejected].
	Unsent bool
	// Moved: the node, a Java one, says that the user is elsewhere. Only links say so,
	// with [protocol.OutcomeOffline].
	Moved bool
	// Node is the id of the node that decided.
	Node string
	// Outcome is the end of the message: for a user with several devices the best
	// of theirs (see [protocol.Outcome.Better]); for a broadcast [protocol.OutcomeSent]
	// if anybody got it, else what most connections ended with.
	Outcome protocol.Outcome
	// Deliveries counts connections by the outcome of the delivery to them.
	Deliveries [protocol.NumOutcomes]int
	// Stages holds the time each stage was reached on the way to Outcome; zero if it
	// was not. For a broadcast queued is the first and written the last connection.
	Stages [protocol.NumStages]time.Time
}

// Tracker learns the progress of a push. Its methods are called from any
// goroutine, do not block and do not call back into the node. Done is called exactly
// once for each user, or once for a broadcast. Reached is called for stages as they
// happen; one that another goroutine overtook may come after Done and says nothing
// that the result did not. Progress is called now and then while a broadcast runs,
// with what one node (Result.Node) has done so far, and once with its end, whose
// Outcome is not pending any more; calls for one node come in order, and none comes
// after Done.
type Tracker interface {
	Reached(stage protocol.Stage, node string, at time.Time)
	Progress(Result)
	Done(Result)
}

// State is where a node stands in its life.
type State string

// The states of a node as the API shows them.
const (
	Serving  State = "serving"
	Draining State = "draining"
	Lost     State = "lost"
)

// Info describes a node to operators, allocators and the console.
type Info struct {
	ID          string    `json:"id"`
	Device      string    `json:"device,omitempty"`    // host:port devices connect to
	WebSocket   string    `json:"websocket,omitempty"` // ws:// or wss:// URL, path included
	Gateway     string    `json:"gateway,omitempty"`   // host:port for back ends and peers
	Ops         string    `json:"ops,omitempty"`       // host:port of /metrics
	State       State     `json:"state"`
	Weight      int       `json:"weight"`         // share of devices it is to get, 1 unless configured
	Java        bool      `json:"java,omitempty"` // an MPush node: it tells little of itself
	Connections int       `json:"connections"`
	Users       int       `json:"users"` // distinct bound users
	Version     string    `json:"version"`
	Since       time.Time `json:"since"`
	// Unheard: the node has not told its connections and users yet, which are 0.
	Unheard bool `json:"-"`
	// Canary: the node has a device of its own, [protocol.CanaryUser], that answers
	// pushes. Only nodes that have told so have one.
	Canary bool `json:"-"`
	// Skew is by how much the node's clock is ahead of this process's, known only while
	// SkewKnown is set: the node is another one that tells its clock.
	Skew      time.Duration `json:"-"`
	SkewKnown bool          `json:"-"`
}

// Device is one device of a user as the API shows it.
type Device struct {
	ClientType    protocol.ClientType `json:"client_type"`
	Node          string              `json:"node"`
	Connection    string              `json:"connection,omitempty"` // id of the connection; empty when offline
	Since         time.Time           `json:"since"`                // bound since, or offline since
	Online        bool                `json:"online"`
	DeviceID      string              `json:"device_id,omitempty"`
	OSName        string              `json:"os_name,omitempty"`
	OSVersion     string              `json:"os_version,omitempty"`
	ClientVersion string              `json:"client_version,omitempty"`
	Tags          string              `json:"tags,omitempty"`
	Transport     string              `json:"transport,omitempty"`
}

// Member is a node that work can be handed to: the node of this process, or a
// link to another one. No method blocks.
type Member interface {
	Info() Info
	// Push delivers p to the devices of user that are connected to this node. t.Done
	// is called exactly once, also when the node is stopping.
	Push(p *Push, user string, t Tracker)
	// PushAll does so for many users. t.Done is called once for each, with
	// Result.User set. The slice must not change afterwards.
	PushAll(p *Push, users []string, t Tracker)
	// Broadcast delivers p to every bound connection of this node that its filters match.
	Broadcast(p *Push, t Tracker)
	// Cancel stops a running broadcast of this message id. Connections that it had not
	// come to end as rejected.
	Cancel(id string)
	// Drain stops accepting and asks devices to leave, at most rate connections per
	// second (0 = the node's default). A second call only changes the rate.
	Drain(rate int)
}

// Members is the membership as an entry point sees it.
type Members interface {
	// List returns the nodes in a stable order. ok is false while the membership is
	// unknown (the registry cannot be reached and nothing was ever learned).
	List() (members []Member, ok bool)
}

// Static is a membership that never changes.
type Static []Member

// List returns the members; ok is always true.
func (s Static) List() ([]Member, bool) { return s, true }
