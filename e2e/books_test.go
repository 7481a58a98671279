package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// crowd is the devices of the books test. Of every hundred one is frozen: it never
// reads. Another five vanish in the middle of it all, some of them without a word.
type crowd struct {
	conns    []*client.Conn
	received atomic.Int64
	acked    atomic.Int64
	wg       sync.WaitGroup
}

const (
	devices  = 1000
	messages = 100_000
)

func user(i int) string { return fmt.Sprintf("user-%04d", i) }

func frozen(i int) bool    { return i%100 == 7 }
func vanishing(i int) bool { return i%20 == 3 }

func gather(t *testing.T, r *rig) *crowd {
	t.Helper()
	c := &crowd{conns: make([]*client.Conn, devices)}
	tokens := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i := range devices {
		wg.Go(func() {
			tokens <- struct{}{}
			defer func() { <-tokens }()
			c.conns[i] = r.Dial(t, fmt.Sprintf("device-%04d", i), user(i), func(o *client.DeviceOptions) {
				o.Tags = fmt.Sprintf("tag-%d,all", i%10)
				o.OSName = []string{"android", "windows", "web"}[i%3]
				if frozen(i) {
					o.Dialer = smallWindow
				}
			})
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i, conn := range c.conns {
		if !frozen(i) {
			c.wg.Go(func() { c.live(i, conn) })
		}
	}
	return c
}

// smallWindow keeps the receiver's kernel from swallowing what a frozen device does
// not read.
func smallWindow(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		err = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	return nc, err
}

// live receives and acknowledges, but for one push in fifty of those that the app
// was to acknowledge.
func (c *crowd) live(i int, conn *client.Conn) {
	luck := mathrand.New(mathrand.NewPCG(uint64(i), 1))
	for {
		p, err := conn.Receive(context.Background())
		if err != nil {
			return
		}
		if p.Command != protocol.CmdPush {
			continue
		}
		c.received.Add(1)
		ack := protocol.AckModeOf(p.Flags)
		if ack == protocol.AckNone || ack == protocol.AckBiz && luck.IntN(50) == 0 {
			continue
		}
		if conn.Ack(p.SessionID) == nil {
			c.acked.Add(1)
		}
	}
}

// vanish ends the connections of one in twenty.
func (c *crowd) vanish() {
	for i, conn := range c.conns {
		if vanishing(i) {
			_ = conn.Close()
		}
	}
}

// TestBooksBalance pushes 100,000 messages of every kind over both entry points
// while devices freeze and vanish, and then accounts for each.
func TestBooksBalance(t *testing.T) {
	r := start(t, func(o *server.Options) {
		o.AckTimeout = 3 * time.Second
		o.Limits.OutboundBytes, o.Limits.OutboundAge = 16<<10, 5*time.Second
		o.Limits.SendBuffer = 8 << 10
	})
	c := gather(t, r)
	gateway := dialGateway(t, r.GatewayAddress())

	var accepted atomic.Int64
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() { accepted.Add(pushSingles(t, r, worker, 5_000)) })
	}
	wg.Go(func() { accepted.Add(pushLists(t, r, 300, 100)) })
	wg.Go(func() { accepted.Add(pushGateway(t, gateway, 49_700)) })
	wg.Go(func() { accepted.Add(pushBroadcasts(t, r, 300)) })
	wg.Go(c.vanish)
	wg.Wait()
	if accepted.Load() != messages {
		t.Fatalf("%d messages were accepted, want %d", accepted.Load(), messages)
	}

	servertest.Eventually(t, "every message has ended", func() bool { return r.Ledger.Books().InFlight == 0 })
	books := r.Ledger.Books()
	t.Logf("accepted %d, ended %v; devices received %d, acked %d; gateway answered %s",
		books.Accepted, named(books.Ended), c.received.Load(), c.acked.Load(), gateway)
	var ended int64
	for _, n := range books.Ended {
		ended += n
	}
	if books.Accepted != messages || ended != messages {
		t.Errorf("accepted %d, ended %d, want %d", books.Accepted, ended, messages)
	}
	checkMetrics(t, r, messages)
	for _, o := range []protocol.Outcome{protocol.OutcomeSent, protocol.OutcomeAcked, protocol.OutcomeAckTimeout, protocol.OutcomeOffline, protocol.OutcomeFiltered} {
		if books.Ended[o] == 0 {
			t.Errorf("no message ended as %s: the load does not do what it should", o)
		}
	}
	if testutil.ToFloat64(r.Metrics.Deliveries(protocol.OutcomeSlow)) == 0 {
		t.Error("no delivery ended as slow: the frozen devices were not noticed")
	}
	if acked := books.Ended[protocol.OutcomeAcked]; acked > c.acked.Load() {
		t.Errorf("%d messages are acked, devices acknowledged %d", acked, c.acked.Load())
	}
	for i, conn := range c.conns {
		if !frozen(i) {
			_ = conn.Close()
		}
	}
	c.wg.Wait()
}

// checkMetrics compares what Prometheus would see with the books.
func checkMetrics(t *testing.T, r *rig, want int) {
	t.Helper()
	sum := func(value func(protocol.Outcome) float64) (total float64) {
		for _, o := range protocol.Outcomes() {
			total += value(o)
		}
		return total
	}
	if got := sum(func(o protocol.Outcome) float64 { return testutil.ToFloat64(r.Metrics.Messages(o)) }); got != float64(want) {
		t.Errorf("fanfare_messages_total is %v, want %d", got, want)
	}
	servertest.Eventually(t, "every delivery has ended", func() bool { return testutil.ToFloat64(r.Metrics.DeliveriesInFlight) == 0 })
	if got := testutil.ToFloat64(r.Metrics.MessagesInFlight); got != 0 {
		t.Errorf("%v messages are in flight", got)
	}
	servertest.Eventually(t, "no byte waits", func() bool { return r.Metrics.Snapshot().OutboundQueueBytes == 0 })
	var opened, closed, open float64
	for transport := range protocol.Transport(protocol.NumTransports) {
		opened += testutil.ToFloat64(r.Metrics.Opened(transport))
		open += testutil.ToFloat64(r.Metrics.Connections(transport))
		for _, reason := range protocol.CloseReasons() {
			closed += testutil.ToFloat64(r.Metrics.Closed(transport, reason))
		}
	}
	if opened != open+closed {
		t.Errorf("%v connections were opened, %v closed, %v are open", opened, closed, open)
	}
	var bound float64
	for _, class := range protocol.ClientTypes() {
		bound += testutil.ToFloat64(r.Metrics.Bound(class))
	}
	if users := r.Info().Users; bound != float64(users) {
		t.Errorf("%v connections are bound, to %d users", bound, users)
	}
}

func named(ended [protocol.NumOutcomes]int64) map[string]int64 {
	m := make(map[string]int64)
	for o, n := range ended {
		if n > 0 {
			m[protocol.Outcome(o).String()] = n
		}
	}
	return m
}

// pushSingles sends count messages to one user each over the API, of all ack modes,
// every tenth to a user who never was there, every tenth for the wrong class.
func pushSingles(t *testing.T, r *rig, worker, count int) int64 {
	luck := mathrand.New(mathrand.NewPCG(uint64(worker), 2))
	for i := range count {
		request := client.PushRequest{User: user(luck.IntN(devices)), Content: []byte("hello"), Ack: protocol.AckMode(i % protocol.NumAckModes)}
		switch i % 10 {
		case 4:
			request.User = "stranger"
		case 8:
			request.Tags = []string{"nobody has this"}
		}
		if _, err := r.pusher.Push(t.Context(), request); err != nil {
			t.Errorf("single push: %v", err)
			return int64(i)
		}
	}
	return int64(count)
}

func pushLists(t *testing.T, r *rig, lists, length int) int64 {
	luck := mathrand.New(mathrand.NewPCG(9, 3))
	for i := range lists {
		users := make([]string, 0, length)
		for _, k := range luck.Perm(devices)[:length] {
			users = append(users, user(k))
		}
		slices.Sort(users)
		request := client.PushRequest{Users: users, Content: []byte("hello, all of you"), Ack: protocol.AckMode(i % protocol.NumAckModes)}
		if _, err := r.pusher.Push(t.Context(), request); err != nil {
			t.Errorf("list: %v", err)
			return int64(i * length)
		}
	}
	return int64(lists * length)
}

// pushBroadcasts sends incompressible content, so that the frozen fill up.
func pushBroadcasts(t *testing.T, r *rig, count int) int64 {
	content := make([]byte, 4<<10)
	_, _ = rand.Read(content)
	for i := range count {
		request := client.PushRequest{Broadcast: true, Content: content, Wait: 20 * time.Second}
		if i%3 == 1 {
			request.Tags = []string{fmt.Sprintf("tag-%d", i%10)}
		}
		if _, err := r.pusher.Push(t.Context(), request); err != nil {
			t.Errorf("broadcast: %v", err)
			return int64(i)
		}
	}
	return int64(count)
}

func pushGateway(t *testing.T, b *backEnd, count int) int64 {
	luck := mathrand.New(mathrand.NewPCG(10, 4))
	for i := range count {
		k := luck.IntN(devices)
		m := protocol.GatewayPush{UserID: user(k), ClientType: []protocol.ClientType{protocol.ClientMobile, protocol.ClientPC, protocol.ClientWeb}[k%3],
			Timeout: 2500, Content: []byte("over the gateway")}
		if err := b.push(m, protocol.AckMode(i%protocol.NumAckModes)); err != nil {
			t.Error(err)
			return int64(i)
		}
	}
	if err := b.w.Flush(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	return int64(count)
}
