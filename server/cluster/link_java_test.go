package cluster_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// Frames that were recorded between MPush's own back-end SDK and a Java node.
const (
	javaUnicast   = "0000004b1000000000000003000008757365722d6f666600000001000009c400317b22636f6e74656e74223a226f6e6c696e652070757368222c226d73674964223a2234222c226d736754797065223a327d000000000000"
	javaOK        = "000000910b00000000000003001000008d7b22636c69656e7454797065223a312c2274696d65506f696e7473223a5b22707573682d63656e7465722d626567696e222c313739353238393237393930382c226265666f72652d73656e64222c313739353238393237393930382c22737563636573732d656e64222c313739353238393237393930395d2c22757365724964223a22757365722d6f6666227d"
	javaOffline   = "000000830a00000000000004001001000c75736572206f66666c696e6500717b22636c69656e7454797065223a312c2274696d65506f696e7473223a5b22707573682d63656e7465722d626567696e222c313739353238393238303731352c226f66666c696e652d656e64222c313739353238393238303731355d2c22757365724964223a22757365722d6f6666227d"
	javaBizPush   = "0000004a1000000400000008000008757365722d61636b00000001000009c400307b22636f6e74656e74223a2261636b207477696365222c226d73674964223a223131222c226d736754797065223a327d000000000000"
	javaAcked     = "000000ad0b0000000000000800100000a97b22636c69656e7454797065223a312c2274696d65506f696e7473223a5b22707573682d63656e7465722d626567696e222c313739353238393238373939332c226265666f72652d73656e64222c313739353238393238373939332c2277616974696e672d61636b222c313739353238393238373939342c22737563636573732d656e64222c313739353238393238373939365d2c22757365724964223a22757365722d61636b227d"
	javaMoved     = "000000850a00000000000003001003000d726f75746572206368616e676500727b22636c69656e7454797065223a312c2274696d65506f696e7473223a5b22707573682d63656e7465722d626567696e222c313739353238393637313731392c2272656469726563742d656e64222c313739353238393637313732305d2c22757365724964223a2274776f2d75736572227d"
	javaBroadcast = "0000003f100000000000000b0000000000000000000000002d7b22636f6e74656e74223a22746f20616c6c222c226d73674964223a223134222c226d736754797065223a327d000000000000"
	javaCastOK    = "000000040b0000000000000b0010000000"
	javaTagged    = "00000049100000000000000d0000000000000000000000002f7b22636f6e74656e74223a227461672074657374222c226d73674964223a223136222c226d736754797065223a327d000000085b2274657374225d0000"
	javaCondition = "000000671000000000000012000000000000000000000000377b22636f6e74656e74223a2273637269707420636f6e646974696f6e222c226d73674964223a223231222c226d736754797065223a327d00000000001e746167732626746167732e696e6465784f662827746573742729213d2d31"
	javaTask      = "0000004810000000000000130000000000000000000000002e7b22636f6e74656e74223a227461736b206964222c226d73674964223a223232222c226d736754797065223a327d00087665637461736b3100000000"
)

func bytesOf(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recorded is one question and its answer.
type recorded struct{ request, reply string }

// javaNode plays a Java node from what was recorded. It fails the test when anything
// else is said to it. A request without a reply is met with silence.
func javaNode(t testing.TB, known ...recorded) cluster.Peer {
	peer := script(t, 0, func(c *scriptedConn) {
		for {
			p, ok := c.next()
			if !ok {
				return
			}
			got := protocol.AppendPacket(nil, p)
			session := p.SessionID
			binary.BigEndian.PutUint32(got[8:], 0)
			found := false
			for _, r := range known {
				want := bytesOf(t, r.request)
				binary.BigEndian.PutUint32(want[8:], 0)
				if !bytes.Equal(got, want) {
					continue
				}
				found = true
				reply := bytesOf(t, r.reply)
				if len(reply) > 0 {
					binary.BigEndian.PutUint32(reply[8:], uint32(session))
				}
				_, _ = c.Write(reply)
			}
			if !found {
				t.Errorf("not what a Java back end says: %x", got)
			}
		}
	})
	peer.ID = peer.Gateway
	return peer
}

func demo(content string, number int) *cluster.Push {
	p := message(fmt.Sprint(number), fmt.Sprintf(`{"content":%q,"msgId":"%d","msgType":2}`, content, number))
	p.ClientTypes = []protocol.ClientType{protocol.ClientMobile}
	return p
}

func sdkTimeout(o *cluster.LinkOptions) {
	o.Timeout, o.Ping, o.Silence = 2500*time.Millisecond, 20*time.Millisecond, 40*time.Millisecond
}

func TestLinkToJava(t *testing.T) {
	t.Parallel()
	plain, acked := func() *cluster.Push { return demo("online push", 4) }, func() *cluster.Push {
		p := demo("ack twice", 11)
		p.Ack, p.AckTimeout = protocol.AckBiz, 2500*time.Millisecond
		return p
	}
	for name, c := range map[string]struct {
		push           *cluster.Push
		user           string
		request, reply string
		want           protocol.Outcome
		moved          bool
		stages         []protocol.Stage
	}{
		"sent":    {plain(), "user-off", javaUnicast, javaOK, protocol.OutcomeSent, false, []protocol.Stage{protocol.StageForwarded, protocol.StageQueued, protocol.StageWritten}},
		"acked":   {acked(), "user-ack", javaBizPush, javaAcked, protocol.OutcomeAcked, false, []protocol.Stage{protocol.StageForwarded, protocol.StageQueued, protocol.StageWritten, protocol.StageAcked}},
		"offline": {plain(), "user-off", javaUnicast, javaOffline, protocol.OutcomeOffline, false, []protocol.Stage{protocol.StageForwarded}},
		"moved":   {plain(), "user-off", javaUnicast, javaMoved, protocol.OutcomeOffline, true, []protocol.Stage{protocol.StageForwarded}},
	} {
		peer := javaNode(t, recorded{c.request, c.reply})
		l := dial(t, peer, sdkTimeout)
		r := l.push(t, c.push, c.user)
		if r.Outcome != c.want || r.Moved != c.moved || r.Unsent || r.Node != peer.Gateway {
			t.Errorf("%s: %+v", name, r)
		}
		var last time.Time
		for s, at := range r.Stages {
			want := bytes.Contains(stageBytes(c.stages), []byte{byte(s)})
			if at.IsZero() == want || want && at.Before(last) {
				t.Errorf("%s: %v at %v", name, protocol.Stage(s), at)
			}
			if want {
				last = at
			}
		}
		if total := sum(r.Deliveries); total != 0 && c.want == protocol.OutcomeOffline || total != 1 && c.want != protocol.OutcomeOffline {
			t.Errorf("%s: deliveries %v", name, r.Deliveries)
		}
		if info := l.Info(); !info.Java || info.ID != peer.Gateway {
			t.Errorf("%+v", info)
		}
	}
}

func stageBytes(list []protocol.Stage) (b []byte) {
	for _, s := range list {
		b = append(b, byte(s))
	}
	return b
}

func sum(counts [protocol.NumOutcomes]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

func TestLinkToJavaBroadcasts(t *testing.T) {
	t.Parallel()
	condition, err := cluster.Compile("tags&&tags.indexOf('test')!=-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request string
		push    *cluster.Push
		adjust  func(p *cluster.Push)
	}{
		"all":       {javaBroadcast, demo("to all", 14), func(p *cluster.Push) { p.Ack = protocol.AckAuto }},
		"tags":      {javaTagged, demo("tag test", 16), func(p *cluster.Push) { p.Tags = []string{"test"} }},
		"condition": {javaCondition, demo("script condition", 21), func(p *cluster.Push) { p.Condition = condition }},
		"task":      {javaTask, demo("task id", 22), func(p *cluster.Push) { p.Task = "vectask1" }},
	} {
		l := dial(t, javaNode(t, recorded{c.request, javaCastOK}), sdkTimeout)
		c.push.ClientTypes = nil
		c.adjust(c.push)
		g := new(gather)
		l.Broadcast(c.push, g)
		if r := g.wait(t, 1)[0]; r.Outcome != protocol.OutcomeSent || sum(r.Deliveries) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestLinkToJavaThatIsSilent: that is how it reports a missing ack.
func TestLinkToJavaThatIsSilent(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, 0, func(c *scriptedConn) { _, _ = io.Copy(io.Discard, c) }), func(o *cluster.LinkOptions) {
		o.Timeout, o.Silence = 300*time.Millisecond, 100*time.Millisecond
	})
	l.await(t)
	acked := demo("hello", 1)
	acked.Ack, acked.AckTimeout = protocol.AckAuto, 200*time.Millisecond
	withAck, without := new(gather), new(gather)
	l.Push(acked, "alice", withAck)
	l.Push(demo("hello", 2), "alice", without)
	if r := withAck.wait(t, 1)[0]; r.Outcome != protocol.OutcomeAckTimeout || r.Unsent {
		t.Errorf("with ack: %+v", r)
	}
	if r := without.wait(t, 1)[0]; r.Outcome != protocol.OutcomeNodeLost || r.Unsent {
		t.Errorf("without: %+v", r)
	}
	if l.Err() != nil {
		t.Errorf("silence is no reason to give up a Java node: %v", l.Err())
	}
}

func TestLinkToJavaBreaks(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, 0, func(c *scriptedConn) { c.next() }), func(o *cluster.LinkOptions) { o.Timeout = time.Minute })
	if r := l.push(t, demo("hello", 1), "alice"); r.Outcome != protocol.OutcomeNodeLost || r.Unsent {
		t.Errorf("%+v", r)
	}
	if out(l, exporter.ResultError) != 1 {
		t.Error("it was not counted")
	}
}

// TestLinkToJavaClasses: a Java node takes one class of devices at a time.
func TestLinkToJavaClasses(t *testing.T) {
	t.Parallel()
	answers := map[protocol.ClientType]protocol.Code{
		protocol.ClientMobile: protocol.CodeOffline, protocol.ClientPC: protocol.CodePushFailure, protocol.ClientUnknown: protocol.CodeRouterChange,
	}
	l := dial(t, script(t, 0, func(c *scriptedConn) {
		for {
			p, ok := c.next()
			var m protocol.GatewayPush
			if !ok || m.UnmarshalBinary(p.Body) != nil {
				return
			}
			if code := answers[m.ClientType]; code != 0 && m.UserID == "alice" || m.ClientType != protocol.ClientWeb {
				c.say(protocol.CmdError, p.SessionID, &protocol.Error{Command: p.Command, Code: max(code, 1)})
			} else {
				c.say(protocol.CmdOK, p.SessionID, &protocol.OK{Command: p.Command, Data: "{"})
			}
		}
	}))
	all := message("1", "hello")
	if r := l.push(t, all, "alice"); r.Outcome != protocol.OutcomeSent || r.Moved || r.Deliveries[protocol.OutcomeSent] != 1 || r.Deliveries[protocol.OutcomeFailed] != 1 {
		t.Errorf("all classes: %+v", r)
	}
	some := message("2", "hello")
	some.ClientTypes = []protocol.ClientType{protocol.ClientMobile, protocol.ClientUnknown}
	if r := l.push(t, some, "alice"); r.Outcome != protocol.OutcomeOffline || !r.Moved || sum(r.Deliveries) != 0 {
		t.Errorf("two classes: %+v", r)
	}
	g := new(gather)
	l.PushAll(all, []string{"alice", "bob"}, g)
	for _, r := range g.wait(t, 2) {
		if r.Outcome != protocol.OutcomeSent || r.User != "alice" && r.User != "bob" {
			t.Errorf("list: %+v", r)
		}
	}
	if len(g.ended()) != 2 {
		t.Errorf("%d results", len(g.ended()))
	}
}

// TestLinkToJavaRefuses what would make a Java node close, or push to others than were meant.
func TestLinkToJavaRefuses(t *testing.T) {
	t.Parallel()
	l := dial(t, javaNode(t))
	condition, err := cluster.Compile("userId == 1")
	if err != nil {
		t.Fatal(err)
	}
	const most = 10_212 // for user-gwbig, as recorded: one byte more and the node closes
	for name, c := range map[string]struct {
		user   string
		adjust func(p *cluster.Push)
	}{
		"too long":  {"user-gwbig", func(p *cluster.Push) { p.Content = make([]byte, most+1) }},
		"empty":     {"alice", func(p *cluster.Push) { p.Content = nil }},
		"no user":   {"", func(*cluster.Push) {}},
		"tags":      {"alice", func(p *cluster.Push) { p.Tags = []string{"vip"} }},
		"condition": {"alice", func(p *cluster.Push) { p.Condition = condition }},
	} {
		p := demo("hello", 1)
		c.adjust(p)
		if r := l.push(t, p, c.user); r.Outcome != protocol.OutcomeFailed || !r.Unsent {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for name, adjust := range map[string]func(p *cluster.Push){
		"classes": func(p *cluster.Push) { p.ClientTypes = []protocol.ClientType{protocol.ClientWeb} },
		"both":    func(p *cluster.Push) { p.Tags, p.Condition = []string{"vip"}, condition },
		"long":    func(p *cluster.Push) { p.Tags = []string{strings.Repeat("x", 11_000)} },
	} {
		p, g := message("2", "hello"), new(gather)
		adjust(p)
		l.Broadcast(p, g)
		if r := g.wait(t, 1)[0]; r.Outcome != protocol.OutcomeFailed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if out(l, exporter.ResultRefused) != 8 {
		t.Errorf("%v were counted", out(l, exporter.ResultRefused))
	}
	l.Drain(1)
	l.Cancel("2") // neither is said to it
	fits := message("3", strings.Repeat("x", most))
	fits.ClientTypes = []protocol.ClientType{protocol.ClientMobile}
	taken := dial(t, script(t, 0, func(c *scriptedConn) {
		if p, ok := c.next(); ok && len(p.Body) == 10<<10 {
			_, _ = c.Write(bytesOf(t, "000000040b"+"000000"+fmt.Sprintf("%08x", p.SessionID)+"00"+"10000000"))
		}
	}))
	if r := taken.push(t, fits, "user-gwbig"); r.Outcome != protocol.OutcomeSent {
		t.Errorf("the longest: %+v", r)
	}
}
