package cluster_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// load pushes to devices of a node over a link while something happens to the link,
// and keeps books.
type load struct {
	link    *caller
	books   *ledger.Ledger
	inboxes []*inbox
	sent    atomic.Int64
}

const loadUsers = 8

func startLoad(t *testing.T, n *servertest.Node, l *caller) *load {
	d := &load{link: l, books: ledger.New(ledger.Options{Metrics: l.metrics})}
	for i := range loadUsers {
		d.inboxes = append(d.inboxes, receive(t, n.Dial(t, fmt.Sprint("device-", i), fmt.Sprint("user-", i))))
	}
	return d
}

// run pushes until stop is closed, single ones and lists.
func (d *load) run(t *testing.T, stop <-chan struct{}) {
	var users []string
	for i := range loadUsers {
		users = append(users, fmt.Sprint("user-", i))
	}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Microsecond):
		}
		number := d.sent.Add(1)
		p := message(fmt.Sprint("m", number), fmt.Sprint("content-", number))
		p.Ack, p.AckTimeout = protocol.AckAuto, 20*time.Second
		to := users[i%loadUsers : i%loadUsers+1]
		if i%16 == 0 {
			to = users
		}
		entry, _, err := d.books.Accept(ledger.Request{ID: p.ID, Targets: len(to), Digest: sha256.Sum256(p.Content), Ack: p.Ack, Received: p.Accepted})
		if err != nil {
			t.Error(err)
			return
		}
		if len(to) == 1 {
			d.link.Push(p, to[0], entry)
		} else {
			d.link.PushAll(p, to, entry)
		}
	}
}

// check wants every push acked and every device to have each message once.
func (d *load) check(t *testing.T) {
	t.Helper()
	servertest.Eventually(t, "all pushes end", func() bool { return d.books.Books().InFlight == 0 })
	books := d.books.Books()
	if books.Accepted == 0 || books.Ended[protocol.OutcomeAcked] != books.Accepted {
		t.Errorf("not all were acked: %+v", books)
	}
	total := int64(0)
	for i, in := range d.inboxes {
		for content, n := range in.counts() {
			total += int64(n)
			if n != 1 {
				t.Errorf("device %d got %s %d times", i, content, n)
			}
		}
	}
	if total != books.Accepted {
		t.Errorf("devices got %d messages, %d were accepted", total, books.Accepted)
	}
	t.Logf("%d pushes, %v reconnects", books.Accepted, testutil.ToFloat64(d.link.metrics.LinkReconnects))
}

func patient(o *cluster.LinkOptions) {
	o.Timeout, o.Ping, o.Silence = 20*time.Second, 50*time.Millisecond, 250*time.Millisecond
}

// TestLinkBreaksUnderLoad: nothing is lost and nothing comes twice, wherever in the
// exchange the connection is reset.
func TestLinkBreaksUnderLoad(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	proxy := backing.StartProxy(t, n.GatewayAddress())
	l := dial(t, peerOf(n, proxy.Addr), patient)
	d := startLoad(t, n, l)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { d.run(t, stop) })
	running.Go(func() { d.run(t, stop) })
	for range 12 {
		l.await(t)
		time.Sleep(rand.N(80 * time.Millisecond))
		proxy.Break()
		time.Sleep(rand.N(20 * time.Millisecond))
		proxy.Heal()
	}
	close(stop)
	running.Wait()
	d.check(t)
	if got := testutil.ToFloat64(l.metrics.LinkReconnects); got < 6 { // one that heals at once may go unnoticed
		t.Errorf("%v reconnects", got)
	}
}

// TestLinkCutUnderLoad: the network swallows everything for longer than the link puts up
// with. What was on its way arrives after the link was made again, and counts no more.
func TestLinkCutUnderLoad(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	proxy := backing.StartProxy(t, n.GatewayAddress())
	l := dial(t, peerOf(n, proxy.Addr), patient)
	d := startLoad(t, n, l)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { d.run(t, stop) })
	for range 4 {
		l.await(t)
		time.Sleep(rand.N(80 * time.Millisecond))
		proxy.Cut()
		servertest.Eventually(t, "the link notices", func() bool { return l.Err() != nil })
		proxy.Heal()
	}
	close(stop)
	running.Wait()
	d.check(t)
	if l.log.count("has said nothing for too long") == 0 {
		t.Error("the log does not say why the link was given up")
	}
}

// TestLinkToANodeThatStartsAnew: what the earlier life of the node was given is
// nobody's to send again.
func TestLinkToANodeThatStartsAnew(t *testing.T) {
	t.Parallel()
	first := servertest.Start(t)
	first.Dial(t, "mute", "alice")
	var address atomic.Value
	address.Store(first.GatewayAddress())
	l := link(t, first, func(o *cluster.LinkOptions) {
		o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address.Load().(string))
		}
	})
	written, g := message("1", "written"), new(gather)
	written.Ack, written.AckTimeout = protocol.AckBiz, time.Minute
	l.Push(written, "alice", g)
	servertest.Eventually(t, "it is written", func() bool { return testutil.ToFloat64(first.Metrics.DeliveriesInFlight) == 1 })
	second := servertest.Start(t)
	in := receive(t, second.Dial(t, "device-1", "alice"))
	address.Store("127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the link breaks", func() bool { return l.Err() != nil })
	queued := new(gather)
	l.Push(message("2", "queued"), "alice", queued)
	address.Store(second.GatewayAddress())
	if r := g.wait(t, 1)[0]; r.Outcome != protocol.OutcomeNodeLost || r.Unsent {
		t.Errorf("written: %+v", r)
	}
	if r := queued.wait(t, 1)[0]; r.Outcome != protocol.OutcomeSent {
		t.Errorf("queued: %+v", r)
	}
	servertest.Eventually(t, "it arrives", func() bool { return in.counts()["queued"] == 1 })
	if in.counts()["written"] != 0 {
		t.Error("a push was handed to two lives of a node")
	}
}

// TestLinkDeadlines: pushes end when their time is up, whatever the node does.
func TestLinkDeadlines(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	proxy := backing.StartProxy(t, n.GatewayAddress())
	receive(t, n.Dial(t, "device-1", "alice"))
	l := dial(t, peerOf(n, proxy.Addr), func(o *cluster.LinkOptions) { o.Timeout = 300 * time.Millisecond })
	l.await(t)
	proxy.Cut()
	if r := l.push(t, message("1", "hello"), "alice"); r.Outcome != protocol.OutcomeNodeLost || r.Unsent {
		t.Errorf("written to the void: %+v", r)
	}
	if out(l, exporter.ResultTimeout) != 1 {
		t.Error("it was not counted")
	}
	proxy.Break()
	servertest.Eventually(t, "the link breaks", func() bool { return l.Err() != nil })
	if r := l.push(t, message("2", "hello"), "alice"); r.Outcome != protocol.OutcomeNodeLost || !r.Unsent {
		t.Errorf("never written: %+v", r)
	}
	g := new(gather)
	l.PushAll(message("3", "hello"), []string{"alice", "bob"}, g)
	l.Broadcast(message("4", "hello"), g)
	for _, r := range g.wait(t, 3) {
		if r.Outcome != protocol.OutcomeNodeLost || !r.Unsent || r.Node != "node-1" {
			t.Errorf("list: %+v", r)
		}
	}
}

func TestLinkThatIsLost(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	n.Dial(t, "mute", "alice")
	l := link(t, n)
	p, written := message("1", "hello"), new(gather)
	p.Ack, p.AckTimeout = protocol.AckAuto, time.Minute
	l.Push(p, "alice", written)
	servertest.Eventually(t, "it is written", func() bool { return testutil.ToFloat64(n.Metrics.DeliveriesInFlight) == 1 })
	l.Lost()
	if r := written.ended(); len(r) != 1 || r[0].Outcome != protocol.OutcomeNodeLost || r[0].Unsent {
		t.Errorf("written: %+v", r)
	}
	after := new(gather)
	l.Push(message("2", "hello"), "alice", after)
	l.PushAll(message("3", "hello"), []string{"alice", "bob"}, after)
	l.Broadcast(message("4", "hello"), after)
	l.Cancel("4")
	l.Drain(1)
	if got := after.ended(); len(got) != 4 {
		t.Errorf("%d results", len(got))
	}
	for _, r := range after.ended() {
		if r.Outcome != protocol.OutcomeNodeLost || !r.Unsent {
			t.Errorf("after: %+v", r)
		}
	}
	l.Close()
	l.Close()
	for _, s := range []exporter.LinkState{exporter.LinkUp, exporter.LinkDown} {
		if got := testutil.ToFloat64(l.metrics.Links(s)); got != 0 {
			t.Errorf("%v links are %v", got, s)
		}
	}
	if got := testutil.ToFloat64(l.metrics.LinkQueueBytes); got != 0 {
		t.Errorf("%v bytes are queued", got)
	}
}

func TestLinkBounds(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	proxy := backing.StartProxy(t, n.GatewayAddress())
	proxy.Break()
	l := dial(t, peerOf(n, proxy.Addr), func(o *cluster.LinkOptions) { o.QueueBytes = 10_000 })
	g := new(gather)
	for i := range 100 {
		l.Push(message(fmt.Sprint(i), "hello"), "alice", g)
	}
	rejected := len(g.ended())
	if rejected < 50 || rejected > 90 {
		t.Errorf("%d of 100 were rejected", rejected)
	}
	for _, r := range g.ended() {
		if r.Outcome != protocol.OutcomeRejected || !r.Unsent {
			t.Errorf("%+v", r)
		}
	}
	if got := testutil.ToFloat64(l.metrics.LinkQueueBytes); got > 10_000 || got < 5_000 {
		t.Errorf("%v bytes are queued", got)
	}
	if out(l, exporter.ResultRefused) != float64(rejected) {
		t.Error("they were not counted")
	}
	proxy.Heal()
	for _, r := range g.wait(t, 100)[rejected:] {
		if r.Outcome != protocol.OutcomeOffline {
			t.Errorf("%+v", r)
		}
	}
	tooLong := message("long", string(make([]byte, protocol.MaxLinkFrame)))
	if r := l.push(t, tooLong, "alice"); r.Outcome != protocol.OutcomeFailed || !r.Unsent {
		t.Errorf("too long: %+v", r)
	}
}

// TestLinkWindow: what is unanswered is bounded, what waits for its turn is not refused.
func TestLinkWindow(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.GatewayInFlight = 3 })
	n.Dial(t, "mute", "alice")
	l := link(t, n, func(o *cluster.LinkOptions) { o.Timeout = 10 * time.Second })
	g := new(gather)
	for i := range 20 {
		p := message(fmt.Sprint(i), "hello")
		p.Ack, p.AckTimeout = protocol.AckAuto, 100*time.Millisecond
		l.Push(p, "alice", g)
	}
	most := 0.0
	servertest.Eventually(t, "all end", func() bool {
		most = max(most, testutil.ToFloat64(n.Metrics.DeliveriesInFlight))
		return len(g.ended()) == 20
	})
	for _, r := range g.ended() {
		if r.Outcome != protocol.OutcomeAckTimeout {
			t.Errorf("%+v", r)
		}
	}
	if most > 3 {
		t.Errorf("%v were in flight", most)
	}
}
