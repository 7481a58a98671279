package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
)

// Pauses between attempts to listen.
const (
	minListenPause = 50 * time.Millisecond
	maxListenPause = 2 * time.Second
)

// SendKick implements [Store]. Nobody learns whether the node has heard it.
func (s *Redis) SendKick(ctx context.Context, k Kick) error {
	text, _ := k.AppendText(nil) // never fails
	return s.call(ctx, "send a kick", func(ctx context.Context) error {
		publish := redis.NewIntCmd(ctx, "publish", kickChannel+k.Address, text)
		publish.SetFirstKeyPos(1) // in a cluster always to the same server, which keeps the order
		return s.client.Process(ctx, publish)
	})
}

// Kicks implements [Store]. It listens over a connection of its own, which it makes
// again for ever, and which it gives up when two pings go unanswered.
//
// kicked and joined are called from one goroutine. While one of them runs, kicks
// wait in the socket and then in Redis; Redis ends a connection that lets them wait
// for too long, after which joined is called again. The returned function must not
// be called from within them. [Redis.Close] ends all listeners.
func (s *Redis) Kicks(address string, kicked func(Kick), joined func()) (stop func()) {
	ctx, cancel := context.WithCancel(s.life)
	l := &listener{store: s, address: address, kicked: kicked, joined: joined, done: make(chan struct{})}
	if !s.listeners.start(func() { l.run(ctx) }) {
		close(l.done)
	}
	return sync.OnceFunc(func() {
		cancel()
		<-l.done
	})
}

// listener is one call of Kicks.
type listener struct {
	store   *Redis
	address string
	kicked  func(Kick)
	joined  func()
	done    chan struct{} // closed when run has returned

	heard atomic.Uint64 // messages and pongs
	busy  atomic.Bool   // kicked or joined runs
}

// run listens until ctx ends. It logs when the node goes deaf and when it hears
// again, not each attempt.
func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	defer l.listening(false)
	deaf, pause := false, minListenPause
	for {
		before := l.heard.Load()
		err := l.listen(ctx, func() {
			if deaf {
				l.store.log.Info("the node hears the kicks of other nodes again")
			}
			deaf, pause = false, minListenPause
		})
		l.listening(false)
		if ctx.Err() != nil {
			return
		}
		if !deaf {
			l.store.log.Warn("the node does not hear the kicks of other nodes and tries again until it does",
				"err", l.store.failed(ctx, "listen to kicks", err))
		}
		deaf = true
		if l.heard.Load() == before {
			pause = min(2*pause, maxListenPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

func (l *listener) listening(yes bool) {
	m := l.store.metrics
	switch {
	case m == nil:
	case yes:
		m.KicksListening.Set(1)
		m.KicksJoined.Inc()
	default:
		m.KicksListening.Set(0)
	}
}

// listen subscribes and handles messages until the connection breaks.
func (l *listener) listen(ctx context.Context, subscribed func()) error {
	channel := kickChannel + l.address
	sub := l.store.client.Subscribe(ctx)
	watched, unwatch := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { l.watch(watched, sub) })
	defer watcher.Wait()
	defer unwatch()
	if err := l.subscribe(ctx, sub, channel); err != nil {
		return err
	}
	for {
		message, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		l.heard.Add(1)
		l.busy.Store(true)
		switch m := message.(type) {
		case *redis.Subscription:
			subscribed()
			l.listening(true)
			l.joined()
		case *redis.Message:
			l.handle(m.Payload)
		}
		l.heard.Add(1)
		l.busy.Store(false)
	}
}

func (l *listener) subscribe(ctx context.Context, sub *redis.PubSub, channel string) error {
	bounded, cancel := context.WithTimeout(ctx, l.store.timeout)
	defer cancel()
	return sub.Subscribe(bounded, channel)
}

// watch pings the connection and closes it when ctx ends or nothing has come since
// the ping before.
func (l *listener) watch(ctx context.Context, sub *redis.PubSub) {
	defer func() { _ = sub.Close() }() // the reader sees it
	tick := time.NewTicker(l.store.timeout)
	defer tick.Stop()
	for asked, heard := false, uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := l.heard.Load()
		if asked && now == heard && !l.busy.Load() {
			return
		}
		asked, heard = true, now
		if err := l.ping(ctx, sub); err != nil {
			return
		}
	}
}

func (l *listener) ping(ctx context.Context, sub *redis.PubSub) error {
	bounded, cancel := context.WithTimeout(ctx, l.store.timeout)
	defer cancel()
	return sub.Ping(bounded)
}

// handle passes a kick on if it is meant for this node.
func (l *listener) handle(text string) {
	k, err := ParseKick([]byte(text))
	if err == nil && k.Address != l.address {
		err = fmt.Errorf("it is for %s", k.Address)
	}
	if err == nil && k.User == "" {
		err = errors.New("it names no user")
	}
	if err != nil {
		bad := unreadable{kind: exporter.ValueKick}
		bad.add(kickChannel+l.address, err)
		l.store.note(&bad)
		return
	}
	l.kicked(k)
}
