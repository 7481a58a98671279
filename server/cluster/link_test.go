package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

func TestLinkPushes(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	in := receive(t, n.Dial(t, "device-1", "alice"))
	l := link(t, n)
	if r := l.push(t, message("1", "hello"), "alice"); r.Outcome != protocol.OutcomeSent || r.Node != "node-1" || r.User != "" ||
		r.Deliveries[protocol.OutcomeSent] != 1 || r.Unsent || r.Moved {
		t.Errorf("sent: %+v", r)
	}
	acked := message("2", "ack me")
	acked.Ack = protocol.AckAuto
	if r := l.push(t, acked, "alice"); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("acked: %+v", r)
	}
	if r := l.push(t, message("3", "nobody"), "bob"); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("offline: %+v", r)
	}
	servertest.Eventually(t, "both arrive", func() bool { return len(in.counts()) == 2 })
	if out(l, exporter.ResultOK) != 2 || out(l, exporter.ResultOffline) != 1 {
		t.Error("requests were not counted")
	}
	if got := testutil.ToFloat64(n.Metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultOK)); got != 2 {
		t.Errorf("the node counted %v", got)
	}
}

// TestLinkStages: clocks of nodes differ by hours, and the stages are in order all the same.
func TestLinkStages(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	receive(t, n.Dial(t, "device-1", "alice"))
	const off = 5 * time.Hour
	now := func() time.Time { return time.Now().Add(off) }
	l := link(t, n, func(o *cluster.LinkOptions) { o.Now = now })
	p := message("1", "hello")
	p.Ack, p.Accepted = protocol.AckBiz, now()
	g := new(gather)
	l.Push(p, "alice", g)
	r := g.wait(t, 1)[0]
	last := p.Accepted
	for _, s := range []protocol.Stage{protocol.StageForwarded, protocol.StageQueued, protocol.StageWritten, protocol.StageAcked} {
		if at := r.Stages[s]; at.Before(last) {
			t.Errorf("%v at %v is before %v", s, at, last)
		}
		last = r.Stages[s]
	}
	if last.After(now()) {
		t.Errorf("acked in the future, %v", last)
	}
	servertest.Eventually(t, "forwarding is told", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.reached[protocol.StageForwarded].Equal(r.Stages[protocol.StageForwarded])
	})
}

func TestLinkPushesToMany(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	const online, all = 20, 100_000
	users := make([]string, all)
	var inboxes []*inbox
	for i := range users {
		users[i] = fmt.Sprintf("user-%d", i)
		if i%(all/online) == 0 {
			inboxes = append(inboxes, receive(t, n.Dial(t, users[i], users[i])))
		}
	}
	l := link(t, n, func(o *cluster.LinkOptions) { o.Timeout = time.Minute })
	g := new(gather)
	l.PushAll(message("1", "to all of you"), users, g)
	got := make(map[string]protocol.Outcome)
	for _, r := range g.wait(t, all) {
		got[r.User] = r.Outcome
	}
	for i, user := range users {
		want := protocol.OutcomeOffline
		if i%(all/online) == 0 {
			want = protocol.OutcomeSent
		}
		if got[user] != want {
			t.Fatalf("%s: %v, want %v", user, got[user], want)
		}
	}
	if len(g.ended()) != all {
		t.Errorf("%d results", len(g.ended()))
	}
	for _, in := range inboxes {
		servertest.Eventually(t, "it arrives", func() bool { return in.counts()["to all of you"] == 1 })
	}
	if got := testutil.ToFloat64(l.metrics.LinkQueueBytes); got == 0 {
		servertest.Eventually(t, "requests are confirmed", func() bool { return testutil.ToFloat64(l.metrics.LinkQueueBytes) == 0 })
	}
}

func TestLinkFilters(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	n.Dial(t, "phone", "alice", func(o *client.DeviceOptions) { o.Tags = "vip,test" })
	l := link(t, n)
	condition := func(text string) cluster.Condition {
		c, err := cluster.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		name   string
		adjust func(*cluster.Push)
		want   protocol.Outcome
	}{
		{"tag", func(p *cluster.Push) { p.Tags = []string{"gold", "vip"} }, protocol.OutcomeSent},
		{"no tag", func(p *cluster.Push) { p.Tags = []string{"gold"} }, protocol.OutcomeFiltered},
		{"class", func(p *cluster.Push) { p.ClientTypes = []protocol.ClientType{protocol.ClientMobile} }, protocol.OutcomeSent},
		{"no class", func(p *cluster.Push) {
			p.ClientTypes = []protocol.ClientType{protocol.ClientWeb, protocol.ClientUnknown}
		}, protocol.OutcomeFiltered},
		{"condition", func(p *cluster.Push) { p.Condition = condition(`userId == "alice"`) }, protocol.OutcomeSent},
		{"no condition", func(p *cluster.Push) { p.Condition = condition(`userId == "bob"`) }, protocol.OutcomeFiltered},
		{"condition that the other side refuses", func(p *cluster.Push) { p.Condition = foreign{} }, protocol.OutcomeFailed},
		{"no content", func(p *cluster.Push) { p.Content = nil }, protocol.OutcomeFailed},
	} {
		p := message(c.name, "hello")
		c.adjust(p)
		if r := l.push(t, p, "alice"); r.Outcome != c.want {
			t.Errorf("%s: %v, want %v", c.name, r.Outcome, c.want)
		}
	}
}

// foreign is a condition that does not compile.
type foreign struct{}

func (foreign) Match(cluster.Facts) bool { return true }
func (foreign) String() string           { return "while(1){}" }

func TestLinkBroadcasts(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for i := range 5 {
		receive(t, n.Dial(t, fmt.Sprint("device-", i), fmt.Sprint("user-", i)))
	}
	l := link(t, n)
	g := new(gather)
	l.Broadcast(message("1", "hear me"), g)
	if r := g.wait(t, 1)[0]; r.Outcome != protocol.OutcomeSent || r.Deliveries[protocol.OutcomeSent] != 5 || r.Node != "node-1" {
		t.Errorf("%+v", r)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if end := len(g.progress) - 1; end < 0 || g.progress[end] != g.results[0] {
		t.Errorf("progress does not end with the result: %+v", g.progress)
	}
}

func TestLinkInfoAndDrain(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	n.Dial(t, "device-1", "alice")
	l := link(t, n)
	servertest.Eventually(t, "the node tells of its devices", func() bool {
		info := l.Info()
		return info.Connections == 1 && info.Users == 1 && info.State == cluster.Serving
	})
	l.Drain(1)
	servertest.Eventually(t, "the node says that it drains", func() bool { return l.Info().State == cluster.Draining })
	if n.Ready() == nil {
		t.Error("it does not")
	}
	l.Lost()
	if info := l.Info(); info.State != cluster.Lost {
		t.Errorf("%+v", info)
	}
}

// TestLinkCancelsWhatRuns: a slow broadcast tells how it goes on, for longer than a push
// may take, and can be stopped.
func TestLinkCancelsWhatRuns(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for i := range 30 {
		receive(t, n.Dial(t, fmt.Sprint("device-", i), fmt.Sprint("user-", i)))
	}
	l := link(t, n, func(o *cluster.LinkOptions) { o.Timeout = 500 * time.Millisecond })
	p, g := message("slow", "hello"), new(gather)
	p.Rate = 5
	l.Broadcast(p, g)
	servertest.Eventually(t, "it tells of progress", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.progress) > 0 && g.progress[len(g.progress)-1].Deliveries[protocol.OutcomeSent] >= 5
	})
	if len(g.ended()) > 0 {
		t.Fatalf("it has ended: %+v", g.ended())
	}
	l.Cancel("slow")
	r := g.wait(t, 1)[0]
	if sent, rejected := r.Deliveries[protocol.OutcomeSent], r.Deliveries[protocol.OutcomeRejected]; sent < 5 || rejected == 0 || sent+rejected != 30 {
		t.Errorf("%+v", r)
	}
}
