package cluster

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

const (
	// viewPause is the least time between two looks at the registry: when hundreds of
	// nodes change at once they are read together.
	viewPause = 100 * time.Millisecond
	// viewReaders is how many requests are under way at once.
	viewReaders = 16
)

// zkView keeps what the registry holds. One goroutine reads it and owns everything but
// what mu guards.
type zkView struct {
	z      *ZooKeeper
	signal chan struct{} // holds one

	folders    [numServices]*zkFolder
	generation uint64 // of the connection that everything was last read over
	hidden     []string
	spared     zkSpared

	mu      sync.Mutex
	touches map[string]zk.EventType // by path, since the goroutine looked; bounded by the number of watches
	list    []Peer
	known   bool
	err     error
}

// zkFolder is one of the nodes cs, ws and gs.
type zkFolder struct {
	service service
	path    string
	stale   bool
	watched int64 // the session that a watch was set in
	entries map[string]*zkEntry
}

// zkEntry is a node in a folder.
type zkEntry struct {
	entry
	path     string
	stale    bool
	watched  int64
	readable bool
	fault    string // what was last logged about it
}

func newZKView(z *ZooKeeper) *zkView {
	v := &zkView{z: z, signal: make(chan struct{}, 1), touches: make(map[string]zk.EventType)}
	for s := range v.folders {
		v.folders[s] = &zkFolder{service: service(s), path: z.paths.service(service(s)), entries: make(map[string]*zkEntry)}
	}
	return v
}

// touched is called by the library and must not block.
func (v *zkView) touched(t zk.EventType, path string) {
	v.mu.Lock()
	v.touches[path] = t
	v.mu.Unlock()
	poke(v.signal)
}

func (v *zkView) peers() ([]Peer, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list), v.known
}

func (v *zkView) error() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

func (v *zkView) run() {
	var retry backoff
	var again <-chan time.Time
	for {
		select {
		case <-v.z.quit:
			return
		case <-v.signal:
		case <-again:
		}
		again = nil
		link, ok := v.z.session.ready()
		if !ok {
			v.z.options.Metrics.RegistryConnected.Set(0)
			continue // the session wakes it again
		}
		if err := v.refresh(link); err != nil {
			v.fail(err)
			again = time.After(retry.next())
			continue
		}
		retry.reset()
		v.publish(link)
		again = v.spared.over(time.Now())
		select {
		case <-v.z.quit:
			return
		case <-time.After(viewPause):
		}
	}
}

// refresh reads what may have changed. What it did not get to stays stale.
func (v *zkView) refresh(link zkLink) error {
	v.takeTouches()
	if v.generation != link.generation {
		v.staleAll()
		v.generation = link.generation
	}
	for s := numServices - 1; s >= 0; s-- { // devices first: a node writes its gateway before
		if f := v.folders[s]; f.stale {
			if err := v.listFolder(f, link); err != nil {
				return err
			}
		}
	}
	return v.readStale(link)
}

func (v *zkView) takeTouches() {
	v.mu.Lock()
	touches := v.touches
	v.touches = make(map[string]zk.EventType)
	v.mu.Unlock()
	for p, t := range touches {
		for _, f := range v.folders {
			if p == f.path {
				f.stale, f.watched = true, 0
			} else if e := f.entries[path.Base(p)]; e != nil && e.path == p {
				e.stale, e.watched = true, 0
				f.stale = f.stale || t == zk.EventNodeDeleted
			}
		}
	}
}

// staleAll makes everything be read again: changes may have been missed while there
// was no connection. The watches stay with the session.
func (v *zkView) staleAll() {
	for _, f := range v.folders {
		f.stale = true
		for _, e := range f.entries {
			e.stale = true
		}
	}
}

// listFolder reads which entries a folder has and forgets those that are gone.
func (v *zkView) listFolder(f *zkFolder, link zkLink) error {
	names, err := v.children(f, link)
	if errors.Is(err, zk.ErrNoNode) {
		if err = v.z.makeParents(); err == nil {
			names, err = v.children(f, link)
		}
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", f.path, err)
	}
	f.stale = false
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[name] = true
		if f.entries[name] == nil {
			f.entries[name] = &zkEntry{entry: entry{service: f.service}, path: f.path + "/" + name, stale: true}
		}
	}
	for name := range f.entries {
		if !present[name] {
			delete(f.entries, name)
		}
	}
	return nil
}

// children lists a folder and sees to it that there is exactly one watch: the library
// would keep each further one until something happens.
func (v *zkView) children(f *zkFolder, link zkLink) ([]string, error) {
	if f.watched == link.session {
		names, _, err := v.z.conn.Children(f.path)
		return names, err
	}
	names, _, _, err := v.z.conn.ChildrenW(f.path)
	if err == nil {
		f.watched = link.session
	}
	return names, err
}

func (v *zkView) readStale(link zkLink) error {
	var readers errgroup.Group
	readers.SetLimit(viewReaders)
	for _, f := range v.folders {
		for name, e := range f.entries {
			if e.stale {
				readers.Go(func() error { return v.read(name, e, link) })
			}
		}
	}
	return readers.Wait()
}

// read reads one entry, which it alone uses meanwhile. Only a lost connection is an
// error; anything else is between the entry and its owner.
func (v *zkView) read(name string, e *zkEntry, link zkLink) error {
	data, stat, err := v.z.watchedGet(e.path, &e.watched, link)
	if err != nil && disconnected(err) {
		return fmt.Errorf("read %s: %w", e.path, err)
	}
	e.readable = false
	if errors.Is(err, zk.ErrNoNode) {
		return nil // still stale: its folder's watch tells whether it went or was made again
	}
	e.stale = false
	if err == nil {
		e.name, e.owner, e.created, e.since = name, stat.EphemeralOwner, stat.Czxid, time.UnixMilli(stat.Ctime).UTC()
		e.znode, err = parseZnode(data)
	}
	if err != nil {
		v.skip(e, err)
		return nil
	}
	e.readable, e.fault = true, ""
	return nil
}

// watchedGet reads a node and sees to it that there is exactly one watch.
func (z *ZooKeeper) watchedGet(path string, watched *int64, link zkLink) ([]byte, *zk.Stat, error) {
	if *watched == link.session {
		return z.conn.Get(path)
	}
	data, stat, _, err := z.conn.GetW(path)
	if err == nil {
		*watched = link.session
	}
	return data, stat, err
}

// skip counts an entry that cannot be read, and names it once.
func (v *zkView) skip(e *zkEntry, err error) {
	if fault := err.Error(); fault != e.fault {
		e.fault = fault
		v.z.options.Metrics.RegistryUnreadable.Inc()
		v.z.log.Warn("skipped an entry of the registry that cannot be read", "path", e.path, "error", err)
	}
}

// publish makes what was read visible.
func (v *zkView) publish(link zkLink) {
	var entries []entry
	for _, f := range v.folders {
		for _, e := range f.entries {
			if e.readable {
				entries = append(entries, e.entry)
			}
		}
	}
	list, hidden := mergePeers(entries)
	v.warn(hidden)
	before, _ := v.peers()
	v.spared.begin(link.generation, v.z.wire.sessionTimeout(), before, v.z.announce.id(), time.Now())
	list = v.spared.add(list, time.Now())
	v.mu.Lock()
	changed := v.err != nil || !v.known || !slices.EqualFunc(v.list, list, samePeer)
	v.list, v.known, v.err = list, true, nil
	v.mu.Unlock()
	v.z.options.Metrics.RegistryConnected.Set(1)
	if changed {
		v.z.notifier.notify()
	}
}

// warn names nodes that are left out because another announces the same address, once.
func (v *zkView) warn(hidden []string) {
	slices.Sort(hidden)
	for _, h := range hidden {
		if !slices.Contains(v.hidden, h) {
			v.z.log.Warn("two nodes announce the same gateway; the newer one has it", "node", h)
		}
	}
	v.hidden = hidden
}

// fail keeps the list as it is and says why.
func (v *zkView) fail(err error) {
	if v.z.closed() {
		return
	}
	v.z.options.Metrics.RegistryConnected.Set(0)
	if disconnected(err) {
		return // the session tells
	}
	if errors.Is(err, zk.ErrNoAuth) {
		err = v.z.refused(err)
	}
	v.mu.Lock()
	changed := v.err == nil || v.err.Error() != err.Error()
	v.err = err
	v.mu.Unlock()
	if changed {
		v.z.log.Error("the registry cannot be read; what was known last stays", "error", err)
		v.z.notifier.notify()
	}
}

func samePeer(a, b Peer) bool {
	sameTime := a.Since.Equal(b.Since)
	a.Since = b.Since
	return sameTime && a == b
}

// shows reports whether the node is seen with all that it offers.
func (v *zkView) shows(self Peer) bool {
	peers, _ := v.peers()
	return slices.ContainsFunc(peers, func(p Peer) bool {
		return p.ID == self.ID && p.Gateway == self.Gateway && p.State == self.State &&
			(p.Device == "") == (self.Device == "") && (p.WebSocket == "") == (self.WebSocket == "")
	})
}
