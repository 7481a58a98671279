package server_test

import (
	"slices"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// routes are the stored routes of a user.
func routes(t testing.TB, n *servertest.Node, user string) []store.Route {
	t.Helper()
	all, err := n.Store.Routes(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// onlyRoute is the single route of a user.
func onlyRoute(t testing.TB, n *servertest.Node, user string) store.Route {
	t.Helper()
	all := routes(t, n, user)
	if len(all) != 1 {
		t.Fatalf("%s has the routes %+v, want one", user, all)
	}
	return all[0]
}

// Check 24 as far as one node goes: the raw OK, and a route with all that is known.
func TestCompatBind(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := resumed(t, n) // compares the bytes of BIND and OK with the published ones
	r := onlyRoute(t, n, "user-0")
	if !r.Online || r.Connection == "" || r.Node != "node-1" || r.DeviceID != "dev-1" || r.OSName != "android" ||
		r.OSVersion != "6.0" || r.ClientVersion != "1.0" || r.ClientType != protocol.ClientMobile {
		t.Errorf("the route is %+v", r)
	}
	w.send(raw(5, 0, 3, bindBody("user-0", "", "")), raw(5, 1, 4, w.seal.AppendEncrypt(nil, bindBody("user-0", "", ""))))
	w.want(raw(11, 0, 3, okBody(5, "bind success")), raw(11, 0, 4, okBody(5, "bind success"))) // raw, however it was asked
}

// Check 25: the same user again changes the tags and nothing else.
func TestCompatBindAgain(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := device(t, n, "dev-1", "android", "")
	w.bind("alice", "gold")
	before := onlyRoute(t, n, "alice")
	w.bind("alice", "silver")
	if after := onlyRoute(t, n, "alice"); after != before {
		t.Errorf("the route changed from %+v to %+v", before, after)
	}
	for tag, want := range map[string]protocol.Outcome{"gold": protocol.OutcomeFiltered, "silver": protocol.OutcomeSent} {
		r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte(tag), Tags: []string{tag}}, ""))
		if r.Outcome != want {
			t.Errorf("broadcast to %s: %s, want %s", tag, r.Outcome, want)
		}
	}
	w.wantSealed(15, 1, []byte("silver"))
}

// Check 26: two OKs for one request, both for BIND.
func TestCompatBindOtherUser(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := device(t, n, "dev-1", "android", "alice")
	w.send(raw(5, 0, 3, bindBody("bob", "", "")))
	w.want(raw(11, 0, 3, okBody(5, "unbind success")), raw(11, 0, 3, okBody(5, "bind success")))
	if r := onlyRoute(t, n, "alice"); r.Online || r.Connection != "" || r.DeviceID != "dev-1" || r.OSName != "android" {
		t.Errorf("the left route is %+v, want it offline with its device", r)
	}
	if r := onlyRoute(t, n, "bob"); !r.Online || r.Connection == "" {
		t.Errorf("the new route is %+v", r)
	}
	if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, "alice")); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("a push to the left user ended as %s", r.Outcome)
	}
	w.wantQuiet()
}

// Checks 27 and 28: UNBIND, whoever it names, and UNBIND when nobody is bound.
func TestCompatUnbind(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := device(t, n, "dev-1", "android", "alice")
	w.send(raw(6, 1, 3, w.seal.AppendEncrypt(nil, bindBody("somebody else", "", ""))))
	w.want(raw(11, 0, 3, okBody(6, "unbind success")))
	if r := onlyRoute(t, n, "alice"); r.Online || r.Connection != "" || r.DeviceID != "dev-1" || r.OSName != "android" {
		t.Errorf("the route is %+v, want it offline with its device", r)
	}
	w.send(raw(6, 0, 4, bindBody("alice", "", ""))) // Java: 100, and the connection is gone
	w.want(raw(11, 0, 4, okBody(6, "unbind success")))
	w.bind("alice", "")
}

// Check 29: what is refused, and by which text.
func TestCompatBindRefused(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) {
		o.Validate = func(user, credential string) bool { return credential != "wrong" }
	})
	rightful := device(t, n, "dev-0", "android", "alice")
	for name, test := range map[string]struct {
		known  bool
		cmd    int8
		body   []byte
		code   byte
		reason string
	}{
		"bind, no handshake":          {false, 5, bindBody("u", "", ""), 0, "not handshake"},
		"unbind, no handshake":        {false, 6, bindBody("u", "", ""), 0, "not handshake"},
		"bind, no user":               {true, 5, bindBody("", "", ""), 0, "invalid param"},
		"unbind, no user":             {true, 6, bindBody("", "", ""), 0, "invalid param"},
		"no user and no handshake":    {false, 5, bindBody("", "", ""), 0, "invalid param"},
		"bind, body ends early":       {true, 5, short("u"), 100, "handle message error"},
		"ends early and no handshake": {false, 5, short("u"), 100, "handle message error"},
		"bind, no body":               {true, 5, nil, 0, "invalid param"}, // nothing is decoded: the user is null
		"the validator says no":       {true, 5, bindBody("alice", "wrong", ""), 0, "bind failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := wireTo(t, n.DeviceAddress())
			if test.known {
				w.handshake(newGreeting(t, "dev-1", "android"))
			}
			w.send(raw(test.cmd, 0, 7, test.body))
			w.want(raw(10, 0, 7, errorBody(byte(test.cmd), test.code, test.reason)))
			w.wantClosed()
		})
	}
	n.Send(t, cluster.Push{Content: []byte("still here")}, "alice") // Java takes her route away with the refusal
	rightful.wantSealed(15, 1, []byte("still here"))
}

// Trailing bytes of a body are ignored, as in Java.
func TestCompatTrailingBytes(t *testing.T) {
	t.Parallel()
	w := device(t, servertest.Start(t), "dev-1", "android", "")
	w.send(raw(5, 0, 2, join(bindBody("alice", "", "vip"), []byte("more"))))
	w.want(raw(11, 0, 2, okBody(5, "bind success")))
}

// Check 30: the end of a connection takes its own route offline and no other's.
func TestCompatClose(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	first := device(t, n, "dev-1", "android", "alice")
	second := device(t, n, "dev-1", "android", "alice") // the same device, after a change of networks
	first.wantSealed(13, 1, join(short("dev-1"), short("alice")))
	route := onlyRoute(t, n, "alice")
	_ = first.nc.Close()
	servertest.Eventually(t, "the node sees the first connection end", func() bool { return n.Info().Connections == 1 })
	if now := onlyRoute(t, n, "alice"); now != route || !now.Online {
		t.Errorf("the end of the older connection made %+v of %+v", now, route)
	}
	n.Send(t, cluster.Push{Content: []byte("x")}, "alice")
	second.wantSealed(15, 1, []byte("x"))

	_ = second.nc.Close()
	servertest.Eventually(t, "the route is offline", func() bool { return !onlyRoute(t, n, "alice").Online })
	if now := onlyRoute(t, n, "alice"); now.Connection != "" || now.DeviceID != "dev-1" {
		t.Errorf("the offline route is %+v", now)
	}
}

// Check 31: the class of a device is read from the name of its system.
func TestCompatClientTypes(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for system, want := range map[string]protocol.ClientType{
		"android": 1, "Android 12": 1, "ios": 1, "iOS": 1, "windows": 2, "Windows 10": 2, "MacOS": 2, "linux": 2,
		"web": 3, "h5": 3, "WebKit": 3, "symbian": -1, "": -1, "android on linux": 1, "linux web": 2, "webos": 3,
	} {
		user := "user of " + system
		device(t, n, "dev of "+system, system, user)
		devices := n.Devices(user)
		if len(devices) != 1 || devices[0].ClientType != want || onlyRoute(t, n, user).ClientType != want {
			t.Errorf("%q: %+v, want class %d", system, devices, want)
		}
		if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, user)); r.Outcome != protocol.OutcomeSent {
			t.Errorf("%q: push ended as %s", system, r.Outcome) // Java makes no route without a system's name
		}
	}
}

// Different classes of one user live side by side.
func TestCompatClassesCoexist(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	var all []*wire
	for _, system := range []string{"android", "Windows 10", "h5", "symbian"} {
		all = append(all, device(t, n, "dev on "+system, system, "alice"))
	}
	n.Send(t, cluster.Push{Content: []byte("x")}, "alice")
	for _, w := range all {
		w.wantSealed(15, 1, []byte("x")) // and no KICK before it
	}
	var classes []protocol.ClientType
	for _, r := range routes(t, n, "alice") {
		classes = append(classes, r.ClientType)
	}
	slices.Sort(classes)
	if want := []protocol.ClientType{-1, 1, 2, 3}; !slices.Equal(classes, want) {
		t.Errorf("routes of the classes %d, want %d", classes, want)
	}
}
