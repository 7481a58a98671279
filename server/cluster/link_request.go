package cluster

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// kind is what a request asks for.
type kind uint8

const (
	kindPush kind = iota
	kindBroadcast
	kindCancel
	kindDrain
)

// request is one frame that a node answers: a push for one or several users, a
// broadcast, a command.
type request struct {
	kind     kind
	push     *Push // nil for commands, and once the node has it
	tracker  Tracker
	users    []string            // nil for one user
	user     string              // the one
	named    bool                // results name the user
	class    protocol.ClientType // of a request to a Java node
	ack      bool                // an ack is wanted
	id       uint64              // numbers requests in the order of writing; 0: not written
	sent     time.Time           // when it was written, by our clock
	progress *Result             // of a broadcast
	rate     int                 // of a drain
	cancel   string              // id of the message of a cancel
	cost     int                 // bytes that it is charged for; 0 once the node has it
	left     int                 // users whose push has not ended
	ended    []bool              // of users; nil for one

	in         *requestList // the queue, or those that the node may not have yet; nil: it has it
	prev, next *request

	due                int64 // tick of its deadline
	timePrev, timeNext *request
}

// weight is how much of the window a request takes.
func (r *request) weight() int { return max(1, len(r.users)) }

// requestList is a list of requests in their order.
type requestList struct{ first, last *request }

func (q *requestList) pushBack(r *request) {
	r.in, r.prev, r.next = q, q.last, nil
	if q.last == nil {
		q.first = r
	} else {
		q.last.next = r
	}
	q.last = r
}

func (q *requestList) pushFront(r *request) {
	r.in, r.prev, r.next = q, nil, q.first
	if q.first == nil {
		q.last = r
	} else {
		q.first.prev = r
	}
	q.first = r
}

func (q *requestList) remove(r *request) {
	if r.prev == nil {
		q.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		q.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.in, r.prev, r.next = nil, nil, nil
}

// requests are all of a link that have not ended. Each is in the queue or, once it was
// written, in pending, and has a deadline. The link's lock guards them.
type requests struct {
	queue       requestList
	unconfirmed requestList // written, and perhaps not arrived; their ids rise
	pending     map[uint64]*request
	inFlight    int // weight of pending
	bytes       int // charged
	deadlines   deadlines
	free        *request // for use again, linked by next
	spare       int      // how many
	gauge       prometheus.Gauge
}

// maxSpare bounds how many requests are kept for use again.
const maxSpare = 4096

func (q *requests) init(m *exporter.Metrics) {
	q.pending = make(map[uint64]*request)
	q.gauge = m.LinkQueueBytes
}

// add queues a request that was charged for.
func (q *requests) add(r *request, due int64) {
	q.charge(r.cost)
	q.queue.pushBack(r)
	r.due = due
	q.deadlines.add(r)
}

func (q *requests) charge(bytes int) {
	q.bytes += bytes
	q.gauge.Add(float64(bytes))
}

// write takes the next request out of the queue if it fits into the window.
func (q *requests) write(window int, id uint64) *request {
	r := q.queue.first
	if r == nil || q.inFlight > 0 && q.inFlight+r.weight() > window {
		return nil
	}
	q.queue.remove(r)
	q.unconfirmed.pushBack(r)
	r.id = id
	q.pending[id] = r
	q.inFlight += r.weight()
	return r
}

// confirm notes that the node has the requests up to last: they are not needed again.
func (q *requests) confirm(last uint64) {
	for r := q.unconfirmed.first; r != nil && r.id <= last; r = q.unconfirmed.first {
		q.unconfirmed.remove(r)
		q.discharge(r)
	}
}

func (q *requests) discharge(r *request) {
	q.charge(-r.cost)
	r.cost, r.push = 0, nil
}

// requeue puts those back that never arrived, in their old order before the others.
func (q *requests) requeue() {
	for r := q.unconfirmed.last; r != nil; r = q.unconfirmed.last {
		q.unconfirmed.remove(r)
		q.unwrite(r)
		q.queue.pushFront(r)
	}
}

func (q *requests) unwrite(r *request) {
	delete(q.pending, r.id)
	q.inFlight -= r.weight()
	r.id = 0
}

// drop takes a request out; id stays to tell whether it was written.
func (q *requests) drop(r *request) {
	if r.in != nil {
		r.in.remove(r)
	}
	if r.id != 0 {
		delete(q.pending, r.id)
		q.inFlight -= r.weight()
	}
	q.deadlines.remove(r)
	q.charge(-r.cost)
	r.cost = 0
}

// clear takes all out.
func (q *requests) clear() []*request { return append(q.dropPending(), q.clearQueue()...) }

// clearQueue takes those out that were not written.
func (q *requests) clearQueue() (list []*request) {
	for r := q.queue.first; r != nil; r = q.queue.first {
		q.drop(r)
		list = append(list, r)
	}
	return list
}

// dropPending takes those out that were written.
func (q *requests) dropPending() (list []*request) {
	for _, r := range q.pending {
		list = append(list, r)
	}
	for _, r := range list {
		q.drop(r)
	}
	return list
}

// get returns a blank request.
func (q *requests) get() *request {
	r := q.free
	if r == nil {
		return new(request)
	}
	q.free, r.next = r.next, nil
	q.spare--
	return r
}

// put keeps a request that was dropped and that nobody knows any more.
func (q *requests) put(r *request) {
	if q.spare >= maxSpare {
		return
	}
	*r = request{next: q.free}
	q.free = r
	q.spare++
}

// deadlines are requests by the time at which they end. Time is counted in ticks; a
// slot holds those of every tick with the same remainder.
type deadlines struct {
	slots [256]*request
	now   int64 // tick up to which all have ended
}

// deadlineTick is the length of a tick, and how much too late a deadline may be met.
const deadlineTick = 50 * time.Millisecond

func (d *deadlines) slot(tick int64) **request { return &d.slots[uint64(tick)%uint64(len(d.slots))] }

func (d *deadlines) add(r *request) {
	r.due = max(r.due, d.now+1)
	head := d.slot(r.due)
	r.timePrev, r.timeNext = nil, *head
	if *head != nil {
		(*head).timePrev = r
	}
	*head = r
}

func (d *deadlines) remove(r *request) {
	if r.timePrev != nil {
		r.timePrev.timeNext = r.timeNext
	} else {
		*d.slot(r.due) = r.timeNext
	}
	if r.timeNext != nil {
		r.timeNext.timePrev = r.timePrev
	}
	r.timePrev, r.timeNext = nil, nil
}

// expired returns those whose deadline has come by the given tick.
func (d *deadlines) expired(now int64) (list []*request) {
	for tick := max(d.now+1, now-int64(len(d.slots))+1); tick <= now; tick++ {
		for r := *d.slot(tick); r != nil; r = r.timeNext {
			if r.due <= now {
				list = append(list, r)
			}
		}
	}
	d.now = max(d.now, now)
	return list
}
