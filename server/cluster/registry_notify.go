package cluster

import "sync"

// notifier calls functions after changes, each from a goroutine of its own, so that a
// slow one holds nobody up. Changes that come while it runs are told of once.
type notifier struct {
	mu      sync.Mutex
	closed  bool
	watched map[*watcher]struct{}
}

type watcher struct {
	signal chan struct{} // holds one
	quit   chan struct{}
	done   chan struct{}
	once   sync.Once
}

// watch calls changed after every later notify until stop has returned. changed must
// not call stop or close.
func (n *notifier) watch(changed func()) (stop func()) {
	w := &watcher{signal: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return func() {}
	}
	if n.watched == nil {
		n.watched = make(map[*watcher]struct{})
	}
	n.watched[w] = struct{}{}
	go w.run(changed)
	return func() {
		n.mu.Lock()
		delete(n.watched, w)
		n.mu.Unlock()
		w.stop()
	}
}

func (n *notifier) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.watched {
		select {
		case w.signal <- struct{}{}:
		default: // it has not begun with the last one
		}
	}
}

// close stops all watchers and refuses new ones.
func (n *notifier) close() {
	n.mu.Lock()
	watched := n.watched
	n.closed, n.watched = true, nil
	n.mu.Unlock()
	for w := range watched {
		w.stop()
	}
}

func (w *watcher) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

func (w *watcher) run(changed func()) {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case <-w.signal:
		}
		select {
		case <-w.quit:
			return
		default:
			changed()
		}
	}
}
