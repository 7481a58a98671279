package server_test

import (
	"fmt"
	"testing"

	"github.com/fanfare-push/fanfare/server/servertest"
)

// toAll is the body of a broadcast.
func toAll(content, task, tags, condition string) []byte {
	return join(short(""), int32s(0, 5000), short(content), short(task), short(tags), short(condition))
}

// castDone is the reply to a broadcast, whoever it met.
var castDone = []byte{16, 0, 0, 0}

// crowd is a node with devices of every kind, under their user's name.
func crowd(t testing.TB) (n *servertest.Node, devices map[string]*wire) {
	t.Helper()
	n = servertest.Start(t)
	devices = map[string]*wire{}
	for user, d := range map[string]struct{ system, tags, version string }{
		"u10":     {"android", "vip,mpush:3", "android-1.2.1"},
		"u55":     {"Windows 10", "vip", "0.9"},
		"u119":    {"h5", "", "web 3"},
		"visitor": {"symbian", "mpush:1", "android-2.0.0"},
	} {
		w := wireTo(t, n.DeviceAddress())
		g := newGreeting(t, "device of "+user, d.system)
		g.version = d.version
		w.handshake(g)
		w.bind(user, d.tags)
		devices[user] = w
	}
	stranger := device(t, n, "dev-5", "android", "") // logged in, not bound
	t.Cleanup(stranger.wantQuiet)
	return n, devices
}

// Checks 47, 48 and 49: who gets a broadcast. Every one is answered once.
func TestCompatBroadcast(t *testing.T) {
	t.Parallel()
	n, devices := crowd(t)
	back := gatewayTo(t, n)
	all := []string{"u10", "u55", "u119", "visitor"}
	for i, test := range []struct {
		tags, condition string
		want            []string
	}{
		{"", "", all},
		{`["vip"]`, "", []string{"u10", "u55"}},
		{`["mpush:3","nobody has it"]`, "", []string{"u10"}},
		{`["mpush"]`, "", nil}, // the start of a tag is not the tag
		{`["ip,m"]`, "", nil},
		{`["absent"]`, "", nil},
		{`[]`, "", nil},
		{`[""]`, "", nil},
		{"", `userId == "u55"`, []string{"u55"}},
		{"", `userId.substring(1) % 100 < 20`, []string{"u10", "u119"}},
		{"", `tags == null`, []string{"u119"}},
		{"", `tags!=null && tags.indexOf("mpush")!=-1`, []string{"u10", "visitor"}},
		{"", `clientVersion.indexOf("android")!=-1 && clientVersion.replace(/[^\d]/g,"") > 20`, []string{"u10", "visitor"}},
		{"", `clientVersion.indexOf("android")!=-1 && clientVersion.replace(/[^\d]/g,"") > 150`, []string{"visitor"}},
		{"", `osName == "h5" || osVersion != "6.0"`, []string{"u119"}},
		{"", `"not a boolean"`, nil},
		{"", `tags.indexOf("x") == -1 && userId.substring(1).split("x")[7].length > 0`, nil}, // an exception
		{`["vip"]`, `userId == "u119"`, []string{"u119"}},                                    // the condition wins
	} {
		t.Run(fmt.Sprint(test.tags, test.condition), func(t *testing.T) {
			content, session := fmt.Sprintf("broadcast %d", i), uint32(i+1)
			back.send(raw(16, 0, session, toAll(content, "", test.tags, test.condition)))
			back.want(raw(11, 0, session, castDone))
			for _, user := range test.want {
				devices[user].wantSealed(15, 1, []byte(content))
			}
			for _, user := range all {
				devices[user].wantQuiet()
			}
		})
	}
}

// Check 49, the syntax error: Java says that all is well. Nobody gets it here either,
// and the back end is told.
func TestCompatBroadcastBrokenFilter(t *testing.T) {
	t.Parallel()
	n, devices := crowd(t)
	back := gatewayTo(t, n)
	for session, filter := range [][2]string{{"", "userId =="}, {`["vip"`, ""}, {"vip", ""}, {"", ")"}, {"", "nothing.at.all"}} {
		back.send(raw(16, 0, uint32(session), toAll("x", "", filter[0], filter[1])))
		back.wantAnswer(uint32(session), 0, "").check(t, 2, "push-center-begin", "failure-end")
	}
	for _, w := range devices {
		w.wantQuiet()
	}
}

// Checks 50 and 51 (as far as one node goes): a broadcast asks for no acks, whatever
// the back end says, and one that could be cancelled is delivered.
func TestCompatBroadcastFlagsAndTask(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w, back := resumed(t, n), gatewayTo(t, n)
	w.bind("user-0", "vip")
	for _, flags := range []byte{4, 8, 12} {
		back.send(raw(16, flags, 5, toAll("hi", "", "", "")))
		back.want(raw(11, 0, 5, castDone))
		w.wantSealed(15, 1, []byte("hi"))
	}
	back.send(unhex(t, exampleBroadcast))
	back.want(raw(11, 0, 2, castDone))
	w.wantSealed(15, 1, []byte("hi"))
}

// Check 52: everybody gets it, and there is exactly one answer. Java's windows
// miscount and answer mostly never.
func TestCompatBroadcastIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	back := gatewayTo(t, n)
	var devices []*wire
	for i := range 30 {
		devices = append(devices, device(t, n, fmt.Sprint("dev-", i), "android", fmt.Sprint("user-", i)))
	}
	for session := range uint32(3) {
		back.send(raw(16, 0, session, toAll("hi", "", "", "")))
		back.want(raw(11, 0, session, castDone))
		for _, w := range devices {
			w.wantSealed(15, 1, []byte("hi"))
		}
	}
	back.send(raw(16, 0, 99, gatewayBody("nobody", 1, 0, "x")))
	back.wantAnswer(99, 1, "nobody").check(t, 1, "push-center-begin", "offline-end")
}

// A broadcast that meets nobody is answered like any other.
func TestCompatBroadcastToNobody(t *testing.T) {
	t.Parallel()
	back := gatewayTo(t, servertest.Start(t))
	back.send(raw(16, 0, 1, toAll("hi", "", "", "")))
	back.want(raw(11, 0, 1, castDone))
}
