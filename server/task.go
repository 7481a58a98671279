package server

import (
	"context"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/store"
)

const (
	// taskInterval is how often a task looks whether its rate changed or it was cancelled.
	taskInterval = time.Second
	// taskBatch is how many users go to the store at a time.
	taskBatch = 500
	// maxTaskUsers is how many users wait for the store at most; those beyond are left
	// out of the task's list, and the log says how many.
	maxTaskUsers = 100_000
	// taskPatience is how often the end of a task is tried to be told to a store that is
	// away, once a taskInterval.
	taskPatience = 60
)

// task is a broadcast's share of an MPush task: how many it sent and whom it reached
// goes to the store, rate and cancelling come from there. While the store is away the
// broadcast goes on at the last rate.
type task struct {
	n      *Node
	id     string
	cancel func()
	away   bool          // the store failed, and the log says so
	full   chan struct{} // wakes the steering when a batch is full
	asked  chan struct{} // closed when the store has told how to begin, or did not
	stop   chan struct{} // closed when the last delivery has ended
	told   chan struct{} // closed when the end was told to the store, or could not be

	mu      sync.Mutex
	rate    int      // messages per second
	sent    int      // not told to the store yet
	users   []string // not told either
	dropped int      // users that found no room
}

// steer asks the store how the broadcast is to go on, now and every now and then. One
// that was cancelled before does not begin.
func (b *broadcast) steer() {
	t := &task{
		n: b.n, id: b.p.Task, cancel: b.cancel, rate: store.DefaultTaskRate, full: make(chan struct{}, 1),
		asked: make(chan struct{}), stop: make(chan struct{}), told: make(chan struct{}),
	}
	b.task = t
	b.n.tasks.Go(t.run)
	b.follow(t.asked, b.cancelled, b.n.quit)
	b.pace = newBucket(t.pace(b.p.Rate), time.Now())
}

// pace is the rate in connections per second: that of the task, or that of the push if
// it is lower.
func (t *task) pace(limit int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 {
		return min(limit, t.rate)
	}
	return t.rate
}

// reached notes that a message has left for a user's connection. A user with several is
// counted for each and mostly, but not surely, listed once.
func (t *task) reached(user string) {
	t.mu.Lock()
	t.sent++
	switch last := len(t.users) - 1; {
	case last >= 0 && t.users[last] == user: // another device
	case last+1 >= maxTaskUsers:
		t.dropped++
	default:
		t.users = append(t.users, user)
	}
	full := len(t.users)%taskBatch == 0
	t.mu.Unlock()
	if full {
		select {
		case t.full <- struct{}{}:
		default:
		}
	}
}

// run talks to the store until all that happened is told.
func (t *task) run() {
	t.count()
	close(t.asked)
	tick := time.NewTicker(taskInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.count()
			t.list(1)
		case <-t.full:
			t.list(taskBatch)
		case <-t.stop:
			t.end(tick.C)
			return
		}
	}
}

// end tells the store the rest, with patience unless the node stops.
func (t *task) end(tick <-chan time.Time) {
	done := t.rest()
	close(t.told)
	for tries := 0; !done && tries < taskPatience; tries++ {
		select {
		case <-tick:
		case <-t.n.quit:
		}
		if t.n.quitting() { // one that was ready with the tick is not to be overlooked
			break
		}
		done = t.rest()
	}
	t.mu.Lock()
	sent, users := t.sent, len(t.users)+t.dropped
	t.mu.Unlock()
	if sent+users > 0 {
		t.n.log.Warn("task is not complete in the store", "task", t.id, "uncounted", sent, "unlisted", users)
	}
}

// rest tells the store everything; false if it did not take it.
func (t *task) rest() bool { return t.count() && t.list(1) }

// count adds to the task's count and reads its settings. What a store did not confirm
// is added again: where it did add it and only the answer was lost, it counts twice.
func (t *task) count() bool {
	t.mu.Lock()
	sent := t.sent
	t.sent = 0
	t.mu.Unlock()
	var state store.TaskState
	err := t.n.ask(exporter.StoreTask, func(ctx context.Context) (err error) {
		state, err = t.n.opt.Store.Task(ctx, t.id, sent)
		return err
	})
	t.report(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.sent += sent
		return false
	}
	if state.Rate > 0 {
		t.rate = state.Rate
	}
	if state.Cancelled {
		t.cancel()
	}
	return true
}

// list appends users to the task's list, batch by batch, as long as there are at least
// enough of them.
func (t *task) list(enough int) bool {
	for {
		t.mu.Lock()
		batch := t.users[:min(len(t.users), taskBatch)]
		t.mu.Unlock()
		if len(batch) < enough {
			return true
		}
		err := t.n.ask(exporter.StoreTaskReached, func(ctx context.Context) error {
			return t.n.opt.Store.TaskReached(ctx, t.id, batch)
		})
		if t.report(err); err != nil {
			return false
		}
		t.mu.Lock()
		if t.users = t.users[len(batch):]; len(t.users) == 0 {
			t.users = nil
		}
		t.mu.Unlock()
	}
}

// report logs a fault of the store, once until it works again. Only the goroutine that
// asks the store calls it.
func (t *task) report(err error) {
	if err != nil && !t.away {
		t.n.log.Warn("task goes on without the store", "err", err, "task", t.id)
	}
	t.away = err != nil
}
