package dingtalk

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How changes of files are found: by notices of the folders, which also tell of files
// that were replaced, and by looking now and then, for file systems that give none.
const (
	settleTime = 300 * time.Millisecond // files of one change are written within
	lookEvery  = 15 * time.Second
)

// watch reloads when the configuration's files change, until ctx ends.
func (b *Bridge) watch(ctx context.Context) {
	events, errs, watcher := b.watcher()
	if watcher != nil {
		defer watcher.Close()
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	settled := time.After(settleTime) // for what changed before anybody watched
	last, failed := b.setup.Load().fingerprint, false
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if settled == nil {
				settled = time.After(settleTime)
			}
			continue
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			b.options.Logger.Warn("watching the configuration's folders", "err", err)
			continue
		case <-settled:
			settled = nil
		case <-look.C:
		}
		now := b.setup.Load().config.Fingerprint()
		if now == last && !(failed && b.loads()) {
			continue // a mistake is reported once, not at every look
		}
		last, failed = now, false
		if now == b.setup.Load().fingerprint {
			continue // somebody else has reloaded
		}
		if failed = b.Reload() != nil; !failed {
			last = b.setup.Load().fingerprint
			b.follow(watcher)
		}
	}
}

// loads reports whether a configuration that had a mistake has none any more: a file
// that it names and that was not there is not among those whose change is seen.
func (b *Bridge) loads() bool {
	return Check(b.options) == nil
}

// watcher watches the folders; without notices of the system everything is nil.
func (b *Bridge) watcher() (chan fsnotify.Event, chan error, *fsnotify.Watcher) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		b.options.Logger.Warn("changes of the configuration are looked for every so often", "every", lookEvery, "err", err)
		return nil, nil, nil
	}
	b.follow(w)
	return w.Events, w.Errors, w
}

// follow adds the folders of the configuration in use.
func (b *Bridge) follow(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	for _, folder := range b.setup.Load().config.Folders() {
		if err := w.Add(folder); err != nil {
			b.options.Logger.Warn("a folder of the configuration cannot be watched", "folder", folder, "err", err)
		}
	}
}
