//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// One server serves all tests that leave it alone, each in a namespace of its own.
func TestZooKeeper(t *testing.T) {
	server := backing.StartZooKeeper(t)
	for name, test := range map[string]func(*testing.T, *backing.ZooKeeper, string){
		"LooksLikeMPush":       testLooksLikeMPush,
		"JoinAndLeave":         testJoinAndLeave,
		"Drain":                testDrain,
		"TakenID":              testTakenID,
		"OneOfTwoGetsTheID":    testOneOfTwoGetsTheID,
		"DeadNodesID":          testDeadNodesID,
		"EarlierLife":          testEarlierLife,
		"Removed":              testRemoved,
		"Changed":              testChanged,
		"Foreign":              testForeign,
		"IDLostWhileAway":      testIDLostWhileAway,
		"Unreadable":           testUnreadable,
		"WrongDigest":          testWrongDigest,
		"WrongDigestElse":      testWrongDigestBelow,
		"JavaNodes":            testJavaNodes,
		"Many":                 testMany,
		"Killed":               testKilled,
		"Reconnect":            testReconnect,
		"Cut":                  testCut,
		"ExpiredSession":       testExpiredSession,
		"AllSessionsExpired":   testAllSessionsExpired,
		"LeaveAfterOutage":     testLeaveAfterOutage,
		"JoinTimesOut":         testJoinTimesOut,
		"CloseWhileCut":        testCloseWhileCut,
		"CloseAtAnyMoment":     testCloseAtAnyMoment,
		"FoldersRemoved":       testFoldersRemoved,
		"RejoinAfterLeaving":   testRejoin,
		"LeaveOutOfTouch":      testLeaveOutOfTouch,
		"AnswerToCreateIsLost": testAnswerLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server, "ns-"+name)
		})
	}
}

// dump lists everything below a namespace, as the recordings do.
func dump(t *testing.T, conn *zk.Conn, root string) map[string]*zk.Stat {
	t.Helper()
	all := make(map[string]*zk.Stat)
	var walk func(string)
	walk = func(p string) {
		names, stat, err := conn.Children(p)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		all[p] = stat
		for _, name := range names {
			walk(p + "/" + name)
		}
	}
	walk(root)
	return all
}

// entriesOf lists the paths of a node's entries, the claim last.
func entriesOf(u *zkUnderTest) []string {
	var paths []string
	for _, n := range u.announce.nodes[1:] {
		paths = append(paths, n.path)
	}
	return append(paths, u.paths.claim("node-1"))
}

func testLooksLikeMPush(t *testing.T, server *backing.ZooKeeper, ns string) {
	var recorded struct{ Dumps map[string][]zkDump }
	readVectors(t, "zk.json", &recorded)
	want := make(map[string]zkDump) // by the path without the UUID
	for _, n := range recorded.Dumps["1-server-running"] {
		if n.Path == "/" {
			continue
		}
		if n.Ephemeral {
			n.Path = path.Dir(n.Path) + "/*"
		}
		want[n.Path] = n
	}
	a := openZK(t, ns, server.Addr)
	a.join(t, Peer{ID: "node-1", Gateway: "127.0.0.1:3001", Device: "127.0.0.1:3000", WebSocket: "ws://127.0.0.1:8008/", PublicIP: "127.0.0.1"})
	raw := rawZK(t, server.Addr)
	found := 0
	for p, stat := range dump(t, raw, "/"+ns) {
		key := "/mpush" + strings.TrimPrefix(p, "/"+ns)
		if stat.EphemeralOwner != 0 {
			key = path.Dir(key) + "/*"
		}
		acl, _, err := raw.GetACL(p)
		if err != nil || len(acl) != 1 {
			t.Fatalf("%s: %v, %v", p, acl, err)
		}
		w, ok := want[key]
		if !ok {
			if !strings.HasPrefix(key, "/mpush/fanfare") {
				t.Errorf("%s is not in the recording", key)
			}
			w = want["/mpush"] // what is ours alone is kept from others the same way
		}
		if got := w.ACL[0]; acl[0] != (zk.ACL{Perms: got.Perms, Scheme: got.Scheme, ID: got.ID}) {
			t.Errorf("%s has %+v, want %+v", p, acl[0], got)
		}
		if !ok {
			continue
		}
		found++
		data, _, err := raw.Get(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutOurs(t, data); got != w.Data {
			t.Errorf("%s: got %s, want %s", p, got, w.Data)
		}
	}
	if found != len(want) {
		t.Errorf("found %d of the %d nodes of the recording", found, len(want))
	}
}

// withoutOurs takes our attributes out of an entry.
func withoutOurs(t *testing.T, data []byte) string {
	t.Helper()
	if len(data) == 0 {
		return ""
	}
	z, err := parseZnode(data)
	if err != nil {
		t.Fatal(err)
	}
	if string(z.encode()) != string(data) {
		t.Errorf("%s is not in MPush's form", data)
	}
	for name, value := range z.Attrs {
		if _, number := value.(fmt.Stringer); !number {
			if _, text := value.(string); !text {
				t.Errorf("attribute %s is neither a text nor a number", name)
			}
		}
		if strings.HasPrefix(name, "fanfare_") {
			delete(z.Attrs, name)
		}
	}
	return string(z.encode())
}

func testJoinAndLeave(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	one, two := testPeer("node-1", 0), testPeer("node-2", 1)
	a.join(t, one)
	if got, ok := a.find("node-1"); !ok || !samePeer(got, one) {
		t.Errorf("after joining it sees itself as %+v, want %+v", got, one)
	}
	within(t, "the other sees it", func() bool { return b.has("node-1") })
	b.join(t, two)
	within(t, "both see both", func() bool { return a.has("node-1", "node-2") && b.has("node-1", "node-2") })
	within(t, "with all that it offers", func() bool { p, _ := a.find("node-2"); return samePeer(p, two) })
	if testutil.ToFloat64(a.metrics.RegistryConnected) != 1 || a.Err() != nil {
		t.Errorf("connected is %v, error %v", testutil.ToFloat64(a.metrics.RegistryConnected), a.Err())
	}
	if err := a.Leave(inTime(t)); err != nil {
		t.Fatal(err)
	}
	raw := rawZK(t, server.Addr)
	for _, p := range entriesOf(a) {
		if exists, _, err := raw.Exists(p); exists || err != nil {
			t.Errorf("%s is there after leaving: %v", p, err)
		}
	}
	within(t, "it is gone", func() bool { return b.has("node-2") && a.has("node-2") })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, "closing leaves, too", func() bool { return a.has() })
	if testutil.ToFloat64(b.metrics.RegistryConnected) != 0 {
		t.Error("the gauge says that a closed registry is connected")
	}
}

func testRejoin(t *testing.T, server *backing.ZooKeeper, ns string) {
	a := openZK(t, ns, server.Addr)
	for range 3 {
		a.join(t, testPeer("node-1", 0))
		if err := a.Leave(inTime(t)); err != nil {
			t.Fatal(err)
		}
		within(t, "it is gone", func() bool { return a.has() })
	}
	a.Update(testPeer("node-1", 0))
	if err := a.Leave(inTime(t)); err != nil || !a.has() {
		t.Errorf("an update without having joined announced the node, or %v", err)
	}
}

func testDrain(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	a.join(t, self)
	raw := rawZK(t, server.Addr)
	gateway := entriesOf(a)[0]
	_, before, err := raw.Exists(gateway)
	if err != nil {
		t.Fatal(err)
	}
	drained := self
	drained.State, drained.Device, drained.WebSocket = Draining, "", ""
	a.Update(drained)
	within(t, "the other sees it drain", func() bool { p, _ := b.find("node-1"); return samePeer(p, drained) })
	for _, p := range entriesOf(a)[1:3] {
		if exists, _, err := raw.Exists(p); exists || err != nil {
			t.Errorf("%s is there while draining: %v", p, err)
		}
	}
	a.Update(self)
	within(t, "the other sees it serve again", func() bool { p, _ := b.find("node-1"); return samePeer(p, self) })
	if _, after, err := raw.Exists(gateway); err != nil || after.Czxid != before.Czxid || after.Version != before.Version+2 {
		t.Errorf("the gateway's entry went from %+v to %+v, %v", before, after, err)
	}
}

func testTakenID(t *testing.T, server *backing.ZooKeeper, ns string) {
	a := openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	b := openZKWith(t, ZooKeeperOptions{Servers: []string{server.Addr}, Namespace: ns, SessionTimeout: 500 * time.Millisecond})
	err := b.Join(inTime(t), testPeer("node-1", 1))
	if !errors.Is(err, ErrTaken) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{"node-1", "127.0.0.1:3001", fmt.Sprint("process ", a.announce.claim.PID), a.announce.claim.Host, "since 20", "node.id"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Join(ctx, testPeer("node-1", 1)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "127.0.0.1:3001") {
		t.Errorf("a short wait ends with %v", err)
	}
	if !a.has("node-1") || testutil.ToFloat64(b.metrics.RegistryConflicts) == 0 {
		t.Errorf("conflicts %v", testutil.ToFloat64(b.metrics.RegistryConflicts))
	}
	if p, _ := a.find("node-1"); p.Gateway != "127.0.0.1:3001" {
		t.Errorf("the first is seen as %+v", p)
	}
	b.join(t, testPeer("node-2", 1)) // the registry is fine
	within(t, "both are seen", func() bool { return a.has("node-1", "node-2") })
}

func testOneOfTwoGetsTheID(t *testing.T, server *backing.ZooKeeper, ns string) {
	errs := make(chan error)
	for i := range 2 {
		u := openZKWith(t, ZooKeeperOptions{Servers: []string{server.Addr}, Namespace: ns, SessionTimeout: 500 * time.Millisecond})
		go func() { errs <- u.Join(inTime(t), testPeer("node-1", i)) }()
	}
	first, second := <-errs, <-errs
	if first != nil || !errors.Is(second, ErrTaken) {
		t.Errorf("one ends with %v, the other with %v", first, second)
	}
}

// A dead node's claim lasts as long as its session; somebody else waits for that.
func testDeadNodesID(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	proxy.Break()
	b.join(t, testPeer("node-1", 1))
	within(t, "the new one stands", func() bool { p, _ := b.find("node-1"); return b.has("node-1") && p.Gateway == "127.0.0.1:3002" })
}

// The node that went and came back on the same address takes over at once.
func testEarlierLife(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a := openZKWith(t, ZooKeeperOptions{Servers: []string{proxy.Addr}, Namespace: ns, SessionTimeout: 40 * time.Second})
	a.join(t, testPeer("node-1", 0))
	old := a.session.link.session
	proxy.Break()
	began := time.Now()
	b := openZK(t, ns, server.Addr)
	b.join(t, testPeer("node-1", 0))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took over after %s", took)
	}
	for p, stat := range dump(t, rawZK(t, server.Addr), "/"+ns) {
		if stat.EphemeralOwner == old {
			t.Errorf("%s of the earlier life is still there", p)
		}
	}
	within(t, "its log says so", func() bool { return strings.Contains(b.log.text(), "earlier life") })
}

func testRemoved(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	a.join(t, self)
	raw := rawZK(t, server.Addr)
	for _, p := range entriesOf(a) {
		_, before, err := raw.Exists(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Delete(p, -1); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		within(t, p+" is there again", func() bool {
			exists, stat, err := raw.Exists(p)
			return err == nil && exists && stat.Czxid != before.Czxid
		})
	}
	within(t, "the node is whole", func() bool { p, _ := b.find("node-1"); return samePeer(p, self) })
}

// Somebody writes into our entries: they are put right.
func testChanged(t *testing.T, server *backing.ZooKeeper, ns string) {
	a := openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	raw := rawZK(t, server.Addr)
	for _, p := range entriesOf(a) {
		data, _, err := raw.Get(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Set(p, []byte("nonsense"), -1); err != nil {
			t.Fatal(err)
		}
		within(t, p+" is put right", func() bool {
			got, _, err := raw.Get(p)
			return err == nil && string(got) == string(data)
		})
	}
}

// Somebody else makes an entry where ours was: it is left alone, said and counted, and
// ours comes back when it goes.
func testForeign(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	self := testPeer("node-1", 0)
	a.join(t, self)
	raw := rawZK(t, server.Addr)
	device := entriesOf(a)[deviceService]
	foreign := []byte(`{"host":"10.9.9.9","port":3000}`)
	if _, err := raw.Multi(&zk.DeleteRequest{Path: device, Version: -1},
		&zk.CreateRequest{Path: device, Data: foreign, Acl: zk.AuthACL(zk.PermAll)}); err != nil {
		t.Fatal(err)
	}
	within(t, "it says so", func() bool {
		err := a.Err()
		return err != nil && strings.Contains(err.Error(), device) && testutil.ToFloat64(a.metrics.RegistryConflicts) > 0
	})
	if data, _, err := raw.Get(device); err != nil || string(data) != string(foreign) {
		t.Errorf("the other's entry is %s, %v", data, err)
	}
	within(t, "others see both", func() bool {
		p, _ := b.find("node-1")
		return p.Device == "" && b.has("10.9.9.9:3000", "node-1")
	})
	if err := raw.Delete(device, -1); err != nil {
		t.Fatal(err)
	}
	within(t, "it is whole again", func() bool { p, _ := b.find("node-1"); return samePeer(p, self) && a.Err() == nil })
}

// A node that was away for longer than its session finds that another took its id: it
// does not announce itself under it until the other has gone.
func testIDLostWhileAway(t *testing.T, server *backing.ZooKeeper, ns string) {
	proxy := backing.StartProxy(t, server.Addr)
	a, b := openZK(t, ns, proxy.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	proxy.Break()
	b.join(t, testPeer("node-1", 1))
	proxy.Heal()
	within(t, "it says who has it", func() bool {
		err := a.Err()
		return errors.Is(err, ErrTaken) && strings.Contains(err.Error(), "127.0.0.1:3002")
	})
	if p, _ := b.find("node-1"); !b.has("node-1") || p.Gateway != "127.0.0.1:3002" {
		t.Errorf("the other is seen as %+v", p)
	}
	if n := testutil.ToFloat64(a.metrics.RegistrySessionsLost); n != 1 {
		t.Errorf("%v sessions were lost", n)
	}
	if err := b.Leave(inTime(t)); err != nil {
		t.Fatal(err)
	}
	within(t, "it announces itself again", func() bool { p, _ := b.find("node-1"); return p.Gateway == "127.0.0.1:3001" && a.Err() == nil })
}

func testUnreadable(t *testing.T, server *backing.ZooKeeper, ns string) {
	a, b := openZK(t, ns, server.Addr), openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	within(t, "it is seen", func() bool { return b.has("node-1") })
	raw := rawZK(t, server.Addr)
	acl := zk.AuthACL(zk.PermAll)
	for i, c := range unreadable {
		for _, s := range serviceNames {
			if _, err := raw.Create(fmt.Sprintf("/%s/cluster/%s/bad-%d", ns, s, i), []byte(c.data), zk.FlagEphemeral, acl); err != nil {
				t.Fatal(err)
			}
		}
	}
	secret := fmt.Sprintf("/%s/cluster/gs/secret", ns)
	if _, err := raw.Create(secret, []byte(javaGS), zk.FlagEphemeral, zk.DigestACL(zk.PermAll, "some", "body")); err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf("/%s/cluster/gs/good", ns)
	if _, err := raw.Create(good, []byte(javaGS), zk.FlagEphemeral, acl); err != nil {
		t.Fatal(err)
	}
	within(t, "the readable ones are seen", func() bool { return b.has("10.0.0.1:3001", "node-1") })
	want := float64(len(unreadable)*numServices + 1)
	within(t, "all are counted", func() bool { return testutil.ToFloat64(b.metrics.RegistryUnreadable) == want })
	for _, p := range []string{secret, fmt.Sprintf("/%s/cluster/cs/bad-0", ns)} {
		if n := strings.Count(b.log.text(), p); n != 1 {
			t.Errorf("%d lines of the log name %s", n, p)
		}
	}
	if b.Err() != nil {
		t.Errorf("error %v", b.Err())
	}
	if _, err := raw.Set(good, []byte("{"), -1); err != nil {
		t.Fatal(err)
	}
	within(t, "one that breaks is skipped", func() bool { return b.has("node-1") })
	if _, err := raw.Set(good, []byte(javaGS), -1); err != nil {
		t.Fatal(err)
	}
	within(t, "one that is mended is back", func() bool { return b.has("10.0.0.1:3001", "node-1") })
}

func testWrongDigest(t *testing.T, server *backing.ZooKeeper, ns string) {
	a := openZK(t, ns, server.Addr)
	a.join(t, testPeer("node-1", 0))
	refusedWith(t, server, ns)
}

// The namespace is there, but nothing below it.
func testWrongDigestBelow(t *testing.T, server *backing.ZooKeeper, ns string) {
	if _, err := rawZK(t, server.Addr).Create("/"+ns, nil, zk.FlagPersistent, zk.AuthACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, server, ns)
}

func refusedWith(t *testing.T, server *backing.ZooKeeper, ns string) {
	t.Helper()
	b := openZKWith(t, ZooKeeperOptions{Servers: []string{server.Addr}, Namespace: ns, Digest: "some:secret"})
	err := b.Join(inTime(t), testPeer("node-2", 1))
	if !errors.Is(err, zk.ErrNoAuth) || strings.Count(err.Error(), "registry.zookeeper.digest") != 1 || strings.Contains(err.Error(), "secret") {
		t.Errorf("joining ends with %v", err)
	}
	within(t, "it says so", func() bool {
		return b.Err() != nil && strings.Contains(b.Err().Error(), "registry.zookeeper.digest")
	})
	if _, known := b.Peers(); known || testutil.ToFloat64(b.metrics.RegistryConnected) != 0 {
		t.Error("it takes the cluster for known")
	}
	if text := b.log.text(); strings.Contains(text, "secret") || strings.Count(text, "registry.zookeeper.digest") > 3 {
		t.Errorf("log:\n%s", text)
	}
}

// Two Java nodes on one machine, as their programs register them, one of which
// goes away.
func testJavaNodes(t *testing.T, server *backing.ZooKeeper, ns string) {
	b := openZK(t, ns, server.Addr)
	within(t, "the registry is there", func() bool { return b.has() })
	nodes := make(map[string]*zk.Conn)
	for port, entries := range map[string]map[string]string{
		"3001": {"cs": `{"attrs":{"weight":1},"host":"127.0.0.1","port":3000}`, "gs": `{"host":"127.0.0.1","port":3001}`, "ws": `{"host":"127.0.0.1","port":8008}`},
		"3101": {"cs": `{"attrs":{"weight":1},"host":"127.0.0.1","port":3100}`, "gs": `{"host":"127.0.0.1","port":3101}`, "ws": `{"host":"127.0.0.1","port":8108}`},
	} {
		nodes[port] = rawZK(t, server.Addr)
		for s, data := range entries {
			if _, err := nodes[port].Create(fmt.Sprintf("/%s/cluster/%s/%s", ns, s, randomUUID()), []byte(data), zk.FlagEphemeral, zk.AuthACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := "127.0.0.1:3001 127.0.0.1:3001 127.0.0.1:3000 ws://127.0.0.1:8008/ 127.0.0.1 \n" +
		"127.0.0.1:3101 127.0.0.1:3101 127.0.0.1:3100 ws://127.0.0.1:8108/ 127.0.0.1 \n"
	within(t, "both are put together", func() bool { peers, _ := b.Peers(); return brief(peers) == want })
	nodes["3101"].Close()
	within(t, "one is gone", func() bool { peers, _ := b.Peers(); return brief(peers)+want[strings.Index(want, "\n")+1:] == want })
}

// Hundreds of nodes come, change and go: the view follows and is not told each step.
func testMany(t *testing.T, server *backing.ZooKeeper, ns string) {
	b := openZK(t, ns, server.Addr)
	within(t, "the registry is there", func() bool { return b.has() })
	calls := make(chan struct{}, 10000)
	defer b.Watch(func() { calls <- struct{}{} })()
	began := time.Now()
	raw := rawZK(t, server.Addr)
	name := func(s string, i int) string { return fmt.Sprintf("/%s/cluster/%s/n-%03d", ns, s, i) }
	put := func(p, data string) *zk.CreateRequest {
		return &zk.CreateRequest{Path: p, Data: []byte(data), Acl: zk.AuthACL(zk.PermAll), Flags: zk.FlagEphemeral}
	}
	gs := `{"attrs":{"fanfare_id":"n-%03d","fanfare_link":1,"fanfare_state":"%s"},"host":"10.0.0.1","port":%d}`
	cs := `{"attrs":{"fanfare_id":"n-%03d"},"host":"10.0.0.1","port":%d}`
	for i := range 200 {
		if _, err := raw.Multi(put(name("gs", i), fmt.Sprintf(gs, i, Serving, 1000+i)), put(name("cs", i), fmt.Sprintf(cs, i, 2000+i))); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "all are seen", func() bool { peers, _ := b.Peers(); return len(peers) == 200 })
	for i := range 200 {
		var err error
		switch i % 4 {
		case 0:
			_, err = raw.Set(name("gs", i), fmt.Appendf(nil, gs, i, Draining, 1000+i), -1)
		case 1:
			err = errors.Join(raw.Delete(name("cs", i), -1), raw.Delete(name("gs", i), -1))
		case 2:
			_, err = raw.Multi(&zk.DeleteRequest{Path: name("cs", i), Version: -1}, put(name("cs", i), fmt.Sprintf(cs, i, 3000+i)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	within(t, "all changes are seen", func() bool {
		peers, _ := b.Peers()
		right := 0
		for i := range 200 {
			at := slices.IndexFunc(peers, func(p Peer) bool { return p.ID == fmt.Sprintf("n-%03d", i) })
			switch {
			case i%4 == 1:
				if at < 0 {
					right++
				}
			case at < 0:
			case i%4 == 0 && peers[at].State == Draining,
				i%4 == 2 && peers[at].Device == fmt.Sprint("10.0.0.1:", 3000+i),
				i%4 == 3 && peers[at].Device == fmt.Sprint("10.0.0.1:", 2000+i):
				right++
			}
		}
		return right == 200
	})
	if n, most := len(calls), int(time.Since(began)/viewPause)+2; n > most {
		t.Errorf("told %d times, at most %d wanted", n, most)
	}
	within(t, "no watch is left over", func() bool { return watchesOf(b) <= 2*200+2*numServices })
}
