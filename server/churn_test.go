package server_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/servertest"
)

var churnSeed = flag.Uint64("churn.seed", 0, "seed of TestBooksBalanceWhileDevicesComeAndGo; 0 takes one by chance")

// churn is a node under devices that come, go, bind, acknowledge or not, while
// others push and kick.
type churn struct {
	t    *testing.T
	n    *servertest.Node
	ctx  context.Context // ends the devices
	seed uint64

	pushes     atomic.Int64
	ends       atomic.Int64
	twice      atomic.Int64 // Done calls too many
	deliveries [protocol.NumOutcomes]atomic.Int64
}

const churnUsers = 6

// end tracks one push; unlike the ledger it does not forgive a second Done.
type end struct {
	c     *churn
	entry *ledger.Entry
	done  atomic.Bool
}

func (e *end) Reached(s protocol.Stage, node string, at time.Time) { e.entry.Reached(s, node, at) }

func (e *end) Progress(r cluster.Result) { e.entry.Progress(r) }

func (e *end) Done(r cluster.Result) {
	if e.done.Swap(true) {
		e.c.twice.Add(1)
	}
	e.entry.Done(r)
	for o, n := range r.Deliveries {
		e.c.deliveries[o].Add(int64(n))
	}
	e.c.ends.Add(1)
}

func (c *churn) rand(who int) *rand.Rand { return rand.New(rand.NewPCG(c.seed, uint64(who))) }

func (c *churn) user(r *rand.Rand) string { return fmt.Sprint("user-", r.IntN(churnUsers)) }

// push sends to somebody or, now and then, to everybody.
func (c *churn) push(r *rand.Rand) {
	p := &cluster.Push{
		ID: fmt.Sprint("message-", c.pushes.Add(1)), Content: make([]byte, 1+r.IntN(100)), Accepted: time.Now(),
		Ack: protocol.AckMode(r.IntN(protocol.NumAckModes)), AckTimeout: time.Duration(1+r.IntN(50)) * time.Millisecond,
	}
	switch r.IntN(8) {
	case 0:
		p.Content = make([]byte, 20<<10)
	case 1:
		p.Tags = []string{"beta"}
	case 2:
		p.ClientTypes = []protocol.ClientType{protocol.ClientMobile}
	}
	broadcast := r.IntN(10) == 0
	entry, _, err := c.n.Ledger.Accept(ledger.Request{ID: p.ID, Source: exporter.SourceAPI, Broadcast: broadcast,
		Targets: 1, Digest: sha256.Sum256([]byte(p.ID)), Ack: p.Ack, Received: p.Accepted})
	if err != nil {
		c.t.Error(err)
		return
	}
	if broadcast {
		c.n.Broadcast(p, &end{c: c, entry: entry})
		return
	}
	c.n.Push(p, c.user(r), &end{c: c, entry: entry})
}

// device lives one life on the binary port. The errors are those of a device whose
// connection the node or the device itself ended.
func (c *churn) device(r *rand.Rand, id string) {
	o := client.DeviceOptions{Address: c.n.DeviceAddress(), DemoKey: true, DeviceID: id, ClientVersion: "1", MaxPacket: 1 << 20,
		OSName: []string{"android", "linux", "other"}[r.IntN(3)], OSVersion: "1", Dialer: dialNarrow}
	if r.IntN(3) == 0 {
		o.TLS = trusting(tls.VersionTLS13)
	}
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	d, err := client.Dial(ctx, o)
	if err != nil {
		return
	}
	defer func() { _ = d.Close() }()
	if d.Bind(ctx, c.user(r), []string{"", "beta", "x,beta"}[r.IntN(3)], "") != nil {
		return
	}
	if r.IntN(6) == 0 { // frozen: never reads again
		time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		return
	}
	for range 1 + r.IntN(40) {
		receive, stop := context.WithTimeout(ctx, time.Duration(1+r.IntN(50))*time.Millisecond)
		p, err := d.Receive(receive)
		stop()
		switch {
		case d.Err() != nil:
			return
		case err == nil && p.Flags&(protocol.FlagAutoAck|protocol.FlagBizAck) != 0 && r.IntN(3) > 0:
			_ = d.Ack(p.SessionID)
		}
		switch r.IntN(20) {
		case 0:
			_ = d.Bind(ctx, c.user(r), "beta", "")
		case 1:
			_ = d.Unbind(ctx, c.user(r))
		}
	}
}

// dialNarrow makes a connection that the node soon finds full.
func dialNarrow(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		err = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	return nc, err
}

// page lives one life on the WebSocket port.
func (c *churn) page(r *rand.Rand, id string) {
	ctx, cancel := context.WithTimeout(c.ctx, time.Duration(50+r.IntN(500))*time.Millisecond)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+c.n.Addr("websocket").String(), nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	say := func(format string, args ...any) error {
		return ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...))
	}
	_ = say(`{"cmd":2,"sessionId":1,"body":{"deviceId":%q,"osName":"web"}}`, id)
	for session := 2; say(`{"cmd":5,"sessionId":%d,"body":{"userId":%q,"tags":"beta"}}`, session, c.user(r)) == nil; session++ {
		for range r.IntN(10) {
			_, text, err := ws.Read(ctx)
			if err != nil {
				return
			}
			if p, err := protocol.ParseJSONPacket(text); err == nil && p.Command == protocol.CmdPush && r.IntN(2) == 0 {
				_ = say(`{"cmd":23,"sessionId":%d}`, p.SessionID)
			}
		}
		if r.IntN(5) == 0 {
			_ = ws.Close(websocket.StatusGoingAway, "gone")
			return
		}
	}
}

// crowd repeats what a number of goroutines do until ctx ends.
func (c *churn) crowd(wg *sync.WaitGroup, ctx context.Context, first, count int, do func(*rand.Rand, string)) {
	for who := first; who < first+count; who++ {
		wg.Go(func() {
			for r := c.rand(who); ctx.Err() == nil; {
				do(r, fmt.Sprint("device-", who))
			}
		})
	}
}

func (c *churn) pause(r *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(r.Int64N(int64(most))))
}

// Every delivery and every push ends once, whatever devices do in the meantime and
// although the node is stopped under full load.
func TestBooksBalanceWhileDevicesComeAndGo(t *testing.T) {
	c := &churn{t: t, seed: *churnSeed}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	t.Logf("to repeat it: -churn.seed=%d", c.seed)
	c.n = servertest.Start(t, withTLS, func(o *server.Options) {
		o.Limits.PendingAcks, o.Limits.Broadcasts, o.Limits.OutboundBytes = 8, 3, 32<<10
		o.Limits.SendBuffer, o.Limits.CompressThreshold = 4<<10, 1<<20
	})
	ctx, cancel := context.WithCancel(t.Context())
	c.ctx = ctx
	var devices, pushers sync.WaitGroup
	c.crowd(&devices, ctx, 0, 12, c.device)
	c.crowd(&devices, ctx, 100, 4, c.page)
	pushing, stopPushing := context.WithCancel(t.Context())
	c.crowd(&pushers, pushing, 200, 4, func(r *rand.Rand, _ string) { c.push(r); c.pause(r, time.Millisecond) })
	c.crowd(&pushers, pushing, 300, 1, func(r *rand.Rand, _ string) { c.n.Kick(c.user(r)); c.pause(r, 20*time.Millisecond) })
	time.Sleep(3 * time.Second)
	stopNode(t, c.n) // devices, pushes and kicks go on
	stopPushing()
	pushers.Wait()
	cancel()
	devices.Wait()
	servertest.Eventually(t, "all pushes end", func() bool { return c.ends.Load() >= c.pushes.Load() })
	c.check()
}

func (c *churn) check() {
	c.t.Helper()
	if c.twice.Load() != 0 || c.ends.Load() != c.pushes.Load() {
		c.t.Errorf("%d pushes ended %d times, %d of them again", c.pushes.Load(), c.ends.Load(), c.twice.Load())
	}
	books, sum := c.n.Ledger.Books(), int64(0)
	for _, n := range books.Ended {
		sum += n
	}
	if books.Accepted != c.pushes.Load() || books.InFlight != 0 || sum != books.Accepted {
		c.t.Errorf("the books %+v do not balance for %d pushes", books, c.pushes.Load())
	}
	ended := map[string]int64{}
	for _, o := range protocol.Outcomes() {
		if got, want := testutil.ToFloat64(c.n.Metrics.Deliveries(o)), c.deliveries[o].Load(); got != float64(want) {
			c.t.Errorf("%v deliveries are counted as %s, the results hold %d", got, o, want)
		}
		if n := c.deliveries[o].Load(); n > 0 {
			ended[o.String()] = n
		}
	}
	c.t.Logf("%d pushes, deliveries %v", c.pushes.Load(), ended)
	gauges := map[string]float64{
		"deliveries in flight": testutil.ToFloat64(c.n.Metrics.DeliveriesInFlight),
		"messages in flight":   testutil.ToFloat64(c.n.Metrics.MessagesInFlight),
		"broadcasts running":   testutil.ToFloat64(c.n.Metrics.BroadcastsRunning),
		"outbound bytes":       testutil.ToFloat64(c.n.Metrics.OutboundQueueBytes),
		"connections":          float64(c.n.Info().Connections),
		"users":                float64(c.n.Info().Users),
		"online routes":        float64(c.n.Embedded.Online()),
		"pool queue, store":    testutil.ToFloat64(c.n.Metrics.PoolQueue(exporter.PoolStore)),
		"pool queue, rsa":      testutil.ToFloat64(c.n.Metrics.PoolQueue(exporter.PoolRSA)),
	}
	for _, class := range protocol.ClientTypes() {
		gauges["bound, "+class.String()] = testutil.ToFloat64(c.n.Metrics.Bound(class))
	}
	for name, value := range gauges {
		if value != 0 {
			c.t.Errorf("%s: %v are left", name, value)
		}
	}
	wantTransports(c.t, c.n, nil)
}
