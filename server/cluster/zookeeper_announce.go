package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// zkAnnouncer keeps this node's entries as they should be. One goroutine writes them.
type zkAnnouncer struct {
	z      *ZooKeeper
	signal chan struct{} // holds one

	mu      sync.Mutex
	self    *Peer     // what is to be announced; nil: nothing
	claim   claim     // of self
	joined  bool      // self was announced once
	waiting time.Time // since when another node's claim is in the way of joining
	version uint64    // of self
	calls   []*announceCall
	touches map[string]bool // our paths that something happened to
	last    error           // of the last attempt; nil: it went well
	err     error           // what Err shows of it

	// The goroutine's own.
	nodes    [1 + numServices]*zkNode // the claim, then the services, in the order they are written
	sessions map[int64]bool           // all that this process had
	link     zkLink
}

// announceCall waits until a version of self is announced.
type announceCall struct {
	version uint64
	done    chan error // holds one
}

// zkNode is a node that this process makes.
type zkNode struct {
	path    string
	want    []byte // nil: it is not to be there
	written []byte // nil: it is not there, or nobody knows
	tried   bool   // to make it in this session, so it may be there
	checked bool   // it is as written, as far as is known
	watched int64
}

func newZKAnnouncer(z *ZooKeeper) *zkAnnouncer {
	a := &zkAnnouncer{z: z, signal: make(chan struct{}, 1), touches: make(map[string]bool), sessions: make(map[int64]bool)}
	a.nodes[0] = &zkNode{}
	for s := range numServices {
		a.nodes[1+s] = &zkNode{path: z.paths.service(service(s)) + "/" + randomUUID()}
	}
	return a
}

// touched is called by the library and must not block.
func (a *zkAnnouncer) touched(path string) {
	a.mu.Lock()
	own := path == a.z.paths.claim(a.claim.ID) || slices.ContainsFunc(a.nodes[1:], func(n *zkNode) bool { return n.path == path })
	if own {
		a.touches[path] = true
	}
	a.mu.Unlock()
	if own {
		poke(a.signal)
	}
}

func (a *zkAnnouncer) error() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *zkAnnouncer) join(ctx context.Context, self Peer) error {
	self = complete(self)
	if _, err := encodePeer(self); err != nil {
		return fmt.Errorf("join the cluster as %s: %w", self.ID, err)
	}
	err := a.await(ctx, func() { a.self, a.claim, a.joined, a.waiting = &self, newClaim(self), false, time.Time{} })
	if err == nil {
		err = a.seen(ctx)
	}
	if err == nil {
		return nil
	}
	if cause := a.obstacle(); ctx.Err() != nil && cause != nil {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	a.set(func() { a.self = nil })
	return fmt.Errorf("join the cluster as %s: %w", self.ID, err)
}

// obstacle is what keeps this node from being announced.
func (a *zkAnnouncer) obstacle() error {
	if err := a.z.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// seen waits until this process sees the node itself as it is announced.
func (a *zkAnnouncer) seen(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	stop := a.z.notifier.watch(func() { poke(changed) })
	defer stop()
	for {
		self := a.current()
		if self == nil || a.z.view.shows(*self) { // nil: it left meanwhile
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.z.quit:
			return errClosed
		}
	}
}

func (a *zkAnnouncer) current() *Peer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.self
}

// id is that of this process's node, empty while none is announced.
func (a *zkAnnouncer) id() string {
	if self := a.current(); self != nil {
		return self.ID
	}
	return ""
}

func (a *zkAnnouncer) update(self Peer) {
	self = complete(self)
	if _, err := encodePeer(self); err != nil {
		a.z.log.Error("what this node says of itself cannot be announced", "error", err)
		return
	}
	a.set(func() {
		if a.self != nil {
			self.ID = a.self.ID
			a.self = &self
		}
	})
}

func (a *zkAnnouncer) leave(ctx context.Context) error {
	err := a.await(ctx, func() { a.self = nil })
	if err != nil && !errors.Is(err, errClosed) {
		return fmt.Errorf("leave the cluster; others see this node until its session ends: %w", err)
	}
	return nil
}

var errClosed = errors.New("the registry is closed")

// set changes what is to be announced.
func (a *zkAnnouncer) set(change func()) {
	a.mu.Lock()
	change()
	a.version++
	a.mu.Unlock()
	poke(a.signal)
}

// await changes it and waits until the registry holds it.
func (a *zkAnnouncer) await(ctx context.Context, change func()) error {
	call := &announceCall{done: make(chan error, 1)}
	a.set(func() {
		change()
		call.version = a.version + 1
		a.calls = append(a.calls, call)
	})
	select {
	case err := <-call.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-a.z.quit:
		return errClosed
	}
}

func (a *zkAnnouncer) run() {
	var retry backoff
	var again <-chan time.Time
	for {
		select {
		case <-a.z.quit:
			return
		case <-a.signal:
		case <-again:
		}
		again = nil
		link, ok := a.z.session.ready()
		if !ok { // the session wakes it again
			a.refuse()
			continue
		}
		version, err := a.reconcile(link)
		if a.z.closed() {
			return
		}
		if err == nil {
			retry.reset()
		} else {
			again = time.After(min(retry.next(), a.patience(err)))
		}
		a.report(version, err)
	}
}

// refuse tells those who join that ZooKeeper does not take the credential.
func (a *zkAnnouncer) refuse() {
	if err := a.z.session.error(); errors.Is(err, zk.ErrNoAuth) {
		a.mu.Lock()
		version := a.version
		a.mu.Unlock()
		a.report(version, err)
	}
}

// patience is how long to wait at most before another attempt, so that a dead node's
// id is not waited for longer than it can last.
func (a *zkAnnouncer) patience(err error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !errors.Is(err, ErrTaken) || a.waiting.IsZero() {
		return time.Hour
	}
	return max(time.Until(a.waiting.Add(a.claimTime())), 0) + time.Millisecond
}

// claimTime is how long the claim of a dead node can last, and a bit.
func (a *zkAnnouncer) claimTime() time.Duration {
	return max(a.z.options.SessionTimeout, a.z.wire.sessionTimeout()) + time.Second
}

// reconcile makes the registry hold what self says. It returns the version of self
// that it worked with.
func (a *zkAnnouncer) reconcile(link zkLink) (uint64, error) {
	version, first, mine, err := a.plan(link)
	if err != nil {
		return version, err
	}
	for i := len(a.nodes) - 1; i >= 0; i-- {
		if n := a.nodes[i]; n.want == nil && n.tried {
			if err := a.remove(n, link); err != nil {
				return version, err
			}
		}
	}
	for i, n := range a.nodes {
		if n.want == nil {
			continue
		}
		if err := a.write(n, link, i == 0, mine, first); err != nil {
			return version, err
		}
	}
	return version, nil
}

// plan notes what should be there and what may have changed.
func (a *zkAnnouncer) plan(link zkLink) (version uint64, first bool, mine claim, err error) {
	a.mu.Lock()
	self, touches := a.self, a.touches
	version, first, mine = a.version, !a.joined, a.claim
	a.touches = make(map[string]bool)
	a.mu.Unlock()
	a.sessions[link.session] = true
	for _, n := range a.nodes {
		if a.link.session != link.session {
			n.written, n.tried, n.watched = nil, false, 0 // they went with the session
		}
		if touches[n.path] {
			n.watched = 0
		}
		n.checked = n.checked && a.link == link && !touches[n.path]
		n.want = nil
	}
	a.link = link
	if self == nil {
		return version, first, mine, nil
	}
	want, err := encodePeer(*self)
	if err != nil {
		return version, first, mine, err
	}
	a.nodes[0].path, a.nodes[0].want = a.z.paths.claim(mine.ID), plainJSON(mine)
	for s, data := range want {
		a.nodes[1+s].want = data
	}
	return version, first, mine, nil
}

func (a *zkAnnouncer) remove(n *zkNode, link zkLink) error {
	_, stat, err := a.z.conn.Exists(n.path)
	if err == nil && stat.EphemeralOwner == link.session {
		err = a.z.conn.Delete(n.path, stat.Version)
	}
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("remove %s: %w", n.path, err)
	}
	n.written, n.tried, n.checked = nil, false, false
	return nil
}

// write makes a node be there with the data that is wanted. It leaves a healthy one alone.
func (a *zkAnnouncer) write(n *zkNode, link zkLink, isClaim bool, mine claim, first bool) error {
	if n.checked && bytes.Equal(n.want, n.written) {
		return nil
	}
	if n.written == nil {
		n.tried = true
		var err error
		if isClaim {
			err = a.takeClaim(n, link, mine, first)
		} else {
			err = a.create(n, link)
		}
		if errors.Is(err, ErrTaken) {
			return err
		}
		if err != nil {
			return fmt.Errorf("announce this node at %s: %w", n.path, err)
		}
		n.written = n.want // unless an attempt whose answer was lost wrote something else
	}
	if err := a.check(n, link); err != nil {
		return fmt.Errorf("announce this node at %s: %w", n.path, err)
	}
	return nil
}

func (a *zkAnnouncer) create(n *zkNode, link zkLink) error {
	err := a.z.createEphemeral(n.path, n.want)
	if !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	_, stat, err := a.z.conn.Exists(n.path)
	switch {
	case err != nil || stat.EphemeralOwner == link.session || stat.Czxid == 0:
		return err // nil: the answer to an earlier attempt was lost
	case a.sessions[stat.EphemeralOwner]:
		if err := a.z.conn.Delete(n.path, stat.Version); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		return a.z.createEphemeral(n.path, n.want)
	}
	return errForeign
}

var errForeign = errors.New("somebody else made that entry; remove it")

// check looks whether the node is as it should be, and watches it.
func (a *zkAnnouncer) check(n *zkNode, link zkLink) error {
	data, stat, err := a.z.watchedGet(n.path, &n.watched, link)
	switch {
	case errors.Is(err, zk.ErrNoNode):
		n.written, n.watched = nil, 0
		poke(a.signal) // somebody removed it: make it again
		return nil
	case err != nil:
		return err
	case stat.EphemeralOwner != link.session:
		n.written = nil
		return errForeign
	}
	if !bytes.Equal(data, n.want) {
		if _, err := a.z.conn.Set(n.path, n.want, stat.Version); err != nil {
			return err
		}
	}
	n.written, n.checked = n.want, true
	return nil
}

// report answers the calls and keeps the fault, if there is one, for Err.
func (a *zkAnnouncer) report(version uint64, err error) {
	if errors.Is(err, zk.ErrNoAuth) {
		err = a.z.refused(err)
	}
	a.mu.Lock()
	fatal := a.fatal(err)
	a.last = err
	if err == nil && version == a.version {
		a.joined = a.self != nil
	}
	if fatal && version == a.version && !a.joined {
		a.self = nil // whoever wanted it is told
	}
	rest := a.calls[:0]
	for _, call := range a.calls {
		if (err == nil || fatal) && call.version <= version {
			call.done <- err
			continue
		}
		rest = append(rest, call)
	}
	clear(a.calls[len(rest):])
	a.calls = rest
	shown := a.shown(err)
	changed := (shown == nil) != (a.err == nil) || shown != nil && shown.Error() != a.err.Error()
	a.err = shown
	a.mu.Unlock()
	a.tell(err, shown, changed)
}

// shown is what Err says of a fault: nothing while the node waits for an id to become
// free, and nothing that the session tells.
func (a *zkAnnouncer) shown(err error) error {
	if disconnected(err) || !a.joined {
		return nil
	}
	return err
}

func (a *zkAnnouncer) tell(err, shown error, changed bool) {
	if errors.Is(err, ErrTaken) || errors.Is(err, errForeign) {
		a.z.options.Metrics.RegistryConflicts.Inc()
	}
	if changed {
		if shown != nil {
			a.z.log.Error("this node cannot be announced; it tries again", "error", shown)
		}
		a.z.notifier.notify()
	}
}

// fatal reports whether joining is to end with the fault: a wrong credential, or an id
// that another node keeps for longer than a dead one can.
func (a *zkAnnouncer) fatal(err error) bool {
	if !errors.Is(err, ErrTaken) {
		a.waiting = time.Time{}
		return errors.Is(err, zk.ErrNoAuth)
	}
	if a.waiting.IsZero() {
		a.waiting = time.Now()
	}
	return time.Since(a.waiting) >= a.claimTime()
}
