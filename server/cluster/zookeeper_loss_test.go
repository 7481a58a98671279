//go:build unix

package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// stats are the facts of a node's entries.
func stats(t *testing.T, conn *zk.Conn, u *zkUnderTest) (all []zk.Stat) {
	t.Helper()
	for _, p := range entriesOf(u) {
		exists, stat, err := conn.Exists(p)
		if err != nil || !exists {
			t.Fatalf("%s: exists %t, %v", p, exists, err)
		}
		all = append(all, *stat)
	}
	return all
}

// neverEmpty fails the test if the registry ever lists fewer than n nodes from now on.
func neverEmpty(t *testing.T, u *zkUnderTest, n int) {
	t.Helper()
	t.Cleanup(u.Watch(func() {
		if peers, known := u.Peers(); !known || len(peers) < n {
			t.Errorf("it lists %+v, known %t", peers, known)
		}
	}))
}

// A node that dies without a word is gone for the others when its session ends.
func testKilled(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	b.join(t, testPeer("node-2", 1))
	within(t, "it is seen", func() bool { return b.has("node-1", "node-2") })
	began := time.Now()
	proxy.Break()
	within(t, "it is gone", func() bool { return b.has("node-2") })
	if took := time.Since(began); took < testSession/3 {
		t.Errorf("gone after %s, which was no time to come back", took)
	}
}

// A connection that breaks and comes back within the session changes nothing for others.
func testReconnect(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a := openZKWith(t, ZooKeeperOptions{Servers: []string{proxy.Addr}, Namespace: ns, SessionTimeout: 30 * time.Second})
	b := openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	within(t, "it is seen", func() bool { return b.has("node-1") })
	neverEmpty(t, a, 1)
	neverEmpty(t, b, 1)
	raw := rawZK(t, server.Addr)
	before := stats(t, raw, a)
	var events []<-chan zk.Event
	for _, p := range entriesOf(a) {
		_, _, ch, err := raw.GetW(p)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, ch)
	}
	for i := range 3 {
		generation, _ := a.session.ready()
		proxy.Break()
		within(t, "it notices", func() bool { return a.Err() != nil })
		if !strings.Contains(a.Err().Error(), "registry.zookeeper.servers") || testutil.ToFloat64(a.metrics.RegistryConnected) != 0 {
			within(t, "the gauge follows", func() bool { return testutil.ToFloat64(a.metrics.RegistryConnected) == 0 })
		}
		other := testPeer("node-2", 10+i) // missed while away
		b.join(t, other)
		proxy.Heal()
		within(t, "it is back and sees what it missed", func() bool {
			p, _ := a.find("node-2")
			now, ok := a.session.ready()
			return ok && now.generation != generation.generation && a.Err() == nil && samePeer(p, other)
		})
		if err := b.Leave(inTime(t)); err != nil {
			t.Fatal(err)
		}
		within(t, "it sees what happens", func() bool { return a.has("node-1") })
	}
	if after := stats(t, raw, a); !slices.Equal(before, after) {
		t.Errorf("entries went from %+v to %+v", before, after)
	}
	for i, ch := range events {
		select {
		case e := <-ch:
			t.Errorf("%s: %+v", entriesOf(a)[i], e)
		default:
		}
	}
	if n := testutil.ToFloat64(a.metrics.RegistrySessionsLost); n != 0 {
		t.Errorf("%v sessions were lost", n)
	}
	if n := watchesOf(a); n > 20 {
		t.Errorf("the library keeps %d watches", n)
	}
}

// watchesOf counts the channels that the library keeps for watches.
func watchesOf(u *zkUnderTest) (n int) {
	mu := (*sync.Mutex)(reflect.ValueOf(u.conn).Elem().FieldByName("watchersLock").Addr().UnsafePointer())
	mu.Lock()
	defer mu.Unlock()
	for i := reflect.ValueOf(u.conn).Elem().FieldByName("watchers").MapRange(); i.Next(); {
		n += i.Value().Len()
	}
	return n
}

// A node that is cut off keeps the membership that it knows and says that it is blind.
func testCut(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	b.join(t, testPeer("node-2", 1))
	within(t, "both see both", func() bool { return a.has("node-1", "node-2") && b.has("node-1", "node-2") })
	proxy.Cut()
	within(t, "the others see it go", func() bool { return b.has("node-2") })
	within(t, "it says that it is cut off", func() bool {
		return a.Err() != nil && testutil.ToFloat64(a.metrics.RegistryConnected) == 0
	})
	if !a.has("node-1", "node-2") {
		peers, _ := a.Peers()
		t.Errorf("the membership was not frozen: %+v", peers)
	}
	c := openZK(t, ns, server.Addr)
	c.join(t, testPeer("node-3", 2))
	if err := b.Leave(inTime(t)); err != nil {
		t.Fatal(err)
	}
	proxy.Heal()
	within(t, "all agree", func() bool { return a.has("node-1", "node-3") && c.has("node-1", "node-3") && a.Err() == nil })
	if n := testutil.ToFloat64(a.metrics.RegistrySessionsLost); n != 1 {
		t.Errorf("%v sessions were lost", n)
	}
}

// The session is closed by somebody else who knows its password.
func testExpiredSession(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	a.join(t, self)
	within(t, "it is seen", func() bool { return b.has("node-1") })
	paths, old := entriesOf(a), a.session.link.session
	password := slices.Clone(reflect.ValueOf(a.conn).Elem().FieldByName("passwd").Bytes())
	within(t, "the session is lost", func() bool {
		closeSession(t, server.Addr, old, password)
		return testutil.ToFloat64(a.metrics.RegistrySessionsLost) > 0
	})
	raw := rawZK(t, server.Addr)
	within(t, "it is announced in a new session, at the same paths", func() bool {
		for _, p := range paths {
			if _, stat, err := raw.Exists(p); err != nil || stat.EphemeralOwner == 0 || stat.EphemeralOwner == old {
				return false
			}
		}
		p, _ := b.find("node-1")
		return samePeer(p, self)
	})
	if n := testutil.ToFloat64(a.metrics.RegistrySessionsLost); n != 1 {
		t.Errorf("%v sessions were lost", n)
	}
	b.join(t, testPeer("node-2", 1))
	within(t, "it sees what happens", func() bool { return a.has("node-1", "node-2") && a.Err() == nil })
}

// All lose their sessions at once, as when ZooKeeper says nothing for too long. Whoever
// comes back first does not take the others for dead, but for the one that is. Nor does
// one whose own session outlived the silence.
func testAllSessionsExpired(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy, last := backing.StartProxy(t, server.Addr), backing.StartProxy(t, server.Addr)
	a, b, c := openZK(t, ns, proxy.Addr), openZK(t, ns, proxy.Addr), openZK(t, ns, last.Addr)
	patient := openZKWith(t, ZooKeeperOptions{Servers: []string{proxy.Addr}, Namespace: ns, SessionTimeout: 3 * testSession})
	raw := rawZK(t, server.Addr)
	for i, u := range []*zkUnderTest{a, b, c} {
		u.join(t, testPeer("node-"+strconv.Itoa(i+1), i))
	}
	all := []*zkUnderTest{a, b, patient}
	for _, u := range all {
		within(t, "all are seen", func() bool { return u.has("node-1", "node-2", "node-3") })
		neverEmpty(t, u, 2)
	}
	proxy.Cut()
	last.Cut()
	within(t, "all sessions of nodes have ended", func() bool {
		names, _, err := raw.Children("/" + ns + "/cluster/gs")
		return err == nil && len(names) == 0
	})
	within(t, "the patient one knows that it is cut off", func() bool { return patient.Err() != nil })
	proxy.Heal()
	for i, u := range all {
		within(t, fmt.Sprintf("number %d sees those that live, and them alone", i), func() bool {
			return u.has("node-1", "node-2") && u.Err() == nil
		})
	}
	if n := testutil.ToFloat64(a.metrics.RegistrySessionsLost); n != 1 {
		t.Errorf("%v sessions were lost", n)
	}
}

// A node that leaves in order is gone at once, also shortly after an outage.
func testLeaveAfterOutage(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZKWith(t, ZooKeeperOptions{Servers: []string{proxy.Addr}, Namespace: ns, SessionTimeout: time.Minute}), openZK(t, ns, server.Addr)
	leaving := testPeer("node-2", 1)
	b.join(t, leaving)
	within(t, "it is seen", func() bool { return a.has("node-2") })
	proxy.Break()
	within(t, "it notices", func() bool { return a.Err() != nil })
	proxy.Heal()
	within(t, "it is back", func() bool { return a.Err() == nil })
	leaving.State = Draining
	b.Update(leaving)
	within(t, "it is seen to drain", func() bool { p, _ := a.find("node-2"); return p.State == Draining })
	if err := b.Leave(inTime(t)); err != nil {
		t.Fatal(err)
	}
	within(t, "it is gone long before a session of this one would end", func() bool { return a.has() })
}

// closeSession speaks ZooKeeper's protocol to take a session over and end it. The
// session's owner takes it back at once, and may be faster.
func closeSession(t *testing.T, server string, session int64, password []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, 12, 64)                                       // version, last change seen
	hello = binary.BigEndian.AppendUint32(hello, 10000)                 // timeout
	hello = binary.BigEndian.AppendUint64(hello, uint64(session))       //
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(password))) //
	hello = append(hello, password...)
	bye := []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5} // request 1: close
	packets := append(binary.BigEndian.AppendUint32(nil, uint32(len(hello))), hello...)
	packets = append(binary.BigEndian.AppendUint32(packets, uint32(len(bye))), bye...)
	if _, err := conn.Write(packets); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the server hangs up
}

func testJoinTimesOut(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	proxy.Break()
	a := openZK(t, ns, proxy.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := a.Join(ctx, testPeer("node-1", 0))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), proxy.Addr) || !strings.Contains(err.Error(), "registry.zookeeper.servers") {
		t.Errorf("error %v", err)
	}
	if _, known := a.Peers(); known || a.Err() == nil {
		t.Error("it takes the cluster for known")
	}
	proxy.Heal()
	b := openZK(t, ns, server.Addr)
	within(t, "it finds the registry", func() bool { return a.has() && a.Err() == nil && b.has() })
	b.join(t, testPeer("node-2", 1))
	within(t, "the given up join does not come back", func() bool { return a.has("node-2") })
}

// Closing ends within moments in every state.
func testCloseWhileCut(t *testing.T, server *backing.ZooKeeper, ns string) {
	for name, prepare := range map[string]func(*testing.T, *zkUnderTest, *backing.Proxy){
		"connected": func(t *testing.T, u *zkUnderTest, _ *backing.Proxy) { u.join(t, testPeer("node-1", 0)) },
		"cut": func(t *testing.T, u *zkUnderTest, p *backing.Proxy) {
			u.join(t, testPeer("node-1", 0))
			p.Cut()
		},
		"noticed": func(t *testing.T, u *zkUnderTest, p *backing.Proxy) {
			u.join(t, testPeer("node-1", 0))
			p.Cut()
			within(t, "it notices", func() bool { return u.Err() != nil })
		},
		"refused": func(t *testing.T, u *zkUnderTest, p *backing.Proxy) {
			p.Break()
			within(t, "it notices", func() bool { return u.Err() != nil })
		},
		"at once":  func(*testing.T, *zkUnderTest, *backing.Proxy) {},
		"never up": func(_ *testing.T, _ *zkUnderTest, p *backing.Proxy) { p.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := backing.StartProxy(t, server.Addr)
			u := openZK(t, ns+"-"+strings.ReplaceAll(name, " ", "-"), proxy.Addr)
			prepare(t, u, proxy)
			stop := u.Watch(func() {})
			began := time.Now()
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			stop()
			if err := u.Join(inTime(t), testPeer("node-1", 0)); !errors.Is(err, errClosed) {
				t.Errorf("joining a closed registry: %v", err)
			}
			u.Update(testPeer("node-1", 0))
			if err := errors.Join(u.Leave(inTime(t)), u.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Closing ends within moments at any moment, whatever the network does meanwhile.
func testCloseAtAnyMoment(t *testing.T, server *backing.ZooKeeper, ns string) {
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			for range 6 {
				closeInTrouble(t, server, ns, testPeer("node-"+strconv.Itoa(i), i))
			}
		})
	}
}

func closeInTrouble(t *testing.T, server *backing.ZooKeeper, ns string, self Peer) {
	t.Helper()
	proxy := backing.StartProxy(t, server.Addr)
	u := openZKWith(t, ZooKeeperOptions{Servers: []string{proxy.Addr}, Namespace: ns, SessionTimeout: 600 * time.Millisecond})
	trouble := make(chan struct{})
	go func() {
		defer close(trouble)
		for range 5 {
			time.Sleep(rand.N(40 * time.Millisecond))
			[]func(){proxy.Break, proxy.Cut, proxy.Heal}[rand.N(3)]()
			proxy.Heal()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), rand.N(300*time.Millisecond))
	defer cancel()
	_ = u.Join(ctx, self) // it may or may not be in time
	closed := make(chan error, 1)
	go func() { closed <- u.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Close does not return")
	}
	<-trouble
}

// An operator removes everything below the namespace.
func testFoldersRemoved(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	a.join(t, self)
	within(t, "it is seen", func() bool { return b.has("node-1") })
	raw := rawZK(t, server.Addr)
	for range 20 { // the node makes them again meanwhile
		var paths []string
		for p := range dumpSome(raw, "/"+ns) {
			paths = append(paths, p)
		}
		slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
		for _, p := range paths {
			_ = raw.Delete(p, -1)
		}
	}
	within(t, "it is whole again", func() bool {
		p, _ := b.find("node-1")
		return samePeer(p, self) && a.Err() == nil && b.Err() == nil && a.has("node-1")
	})
}

func dumpSome(conn *zk.Conn, root string) map[string]bool {
	all := map[string]bool{root: true}
	names, _, err := conn.Children(root)
	if err != nil {
		return all
	}
	for _, name := range names {
		for p := range dumpSome(conn, root+"/"+name) {
			all[p] = true
		}
	}
	return all
}

func testLeaveOutOfTouch(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	proxy.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := a.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "until its session ends") {
		t.Errorf("error %v", err)
	}
	proxy.Heal()
	within(t, "it has left", func() bool { return b.has() && a.has() && a.Err() == nil })
}

// The connection breaks at any moment of joining: the node is announced once.
func testAnswerLost(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	for i := range 5 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(time.Duration(i*6) * time.Millisecond)
			proxy.Break()
			proxy.Heal()
		}()
		a.join(t, self)
		<-done
		within(t, "it is whole", func() bool { p, _ := b.find("node-1"); return samePeer(p, self) && a.Err() == nil })
		if err := a.Leave(inTime(t)); err != nil {
			t.Fatal(err)
		}
		within(t, "nothing of it is left", func() bool {
			for _, p := range entriesOf(a) {
				if exists, _, err := b.conn.Exists(p); exists || err != nil {
					return false
				}
			}
			return b.has()
		})
	}
}

// ZooKeeper goes and comes back with its data: nodes are as they were, and healthy
// ones are not announced anew.
func TestZooKeeperRestart(t *testing.T) {
	t.Parallel()
	server := backing.StartZooKeeper(t)
	const session = 40 * time.Second
	a := openZKWith(t, ZooKeeperOptions{Servers: []string{server.Addr}, SessionTimeout: session})
	b := openZKWith(t, ZooKeeperOptions{Servers: []string{server.Addr}, SessionTimeout: session})
	one, two := testPeer("node-1", 0), testPeer("node-2", 1)
	a.join(t, one)
	b.join(t, two)
	within(t, "both see both", func() bool { return a.has("node-1", "node-2") && b.has("node-1", "node-2") })
	neverEmpty(t, a, 2)
	neverEmpty(t, b, 2)
	raw := rawZK(t, server.Addr)
	before := stats(t, raw, a)
	raw.Close()
	for _, stop := range []func(){server.Stop, server.Kill} {
		stop()
		within(t, "both notice", func() bool { return a.Err() != nil && b.Err() != nil })
		server.Restart()
		within(t, "both are back", func() bool { return a.Err() == nil && b.Err() == nil })
	}
	if after := stats(t, rawZK(t, server.Addr), a); !slices.Equal(before, after) {
		t.Errorf("entries went from %+v to %+v", before, after)
	}
	drained := one
	drained.State, drained.Device = Draining, ""
	a.Update(drained)
	within(t, "changes arrive as before", func() bool { p, _ := b.find("node-1"); return samePeer(p, drained) })
}

// ZooKeeper stands still for longer than a session, or comes back without its data.
func TestZooKeeperForgets(t *testing.T) {
	t.Parallel()
	server := backing.StartZooKeeper(t)
	a, b := openZK(t, "mpush", server.Addr), openZK(t, "mpush", server.Addr)
	one, two := testPeer("node-1", 0), testPeer("node-2", 1)
	a.join(t, one)
	b.join(t, two)
	within(t, "both see both", func() bool { return a.has("node-1", "node-2") && b.has("node-1", "node-2") })
	server.Pause()
	within(t, "both notice", func() bool { return a.Err() != nil && b.Err() != nil })
	time.Sleep(testSession) // the sessions end on the server's clock
	if !a.has("node-1", "node-2") || !b.has("node-1", "node-2") {
		t.Error("the membership was not frozen")
	}
	server.Resume()
	whole := func() bool {
		p, _ := a.find("node-2")
		q, _ := b.find("node-1")
		return samePeer(p, two) && samePeer(q, one) && a.Err() == nil && b.Err() == nil
	}
	within(t, "both are back", whole)

	server.Kill()
	server.Wipe()
	server.Restart()
	within(t, "both are back on an empty server", whole)
}

// The leader of an ensemble dies: sessions go on with the other servers.
func TestZooKeeperEnsemble(t *testing.T) {
	t.Parallel()
	servers := backing.StartEnsemble(t, 3)
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.Addr)
	}
	o := ZooKeeperOptions{Servers: addresses, SessionTimeout: 20 * time.Second}
	a, b := openZKWith(t, o), openZKWith(t, o)
	a.join(t, testPeer("node-1", 0))
	b.join(t, testPeer("node-2", 1))
	within(t, "both see both", func() bool { return a.has("node-1", "node-2") && b.has("node-1", "node-2") })
	neverEmpty(t, a, 2)
	neverEmpty(t, b, 2)
	leader := slices.IndexFunc(servers, (*backing.ZooKeeper).Leader)
	if leader < 0 {
		t.Fatal("no server leads")
	}
	paths, session := entriesOf(a), a.session.link.session
	servers[leader].Kill()
	c := openZKWith(t, o)
	c.join(t, testPeer("node-3", 2))
	within(t, "all see all", func() bool {
		return a.has("node-1", "node-2", "node-3") && b.has("node-1", "node-2", "node-3") && a.Err() == nil && b.Err() == nil
	})
	for _, p := range paths {
		if _, stat, err := c.conn.Exists(p); err != nil || stat.EphemeralOwner != session {
			t.Errorf("%s: %+v, %v", p, stat, err)
		}
	}
}
