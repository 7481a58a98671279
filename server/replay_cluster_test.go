package server_test

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest"
)

// twoServers are the deviations of the recording of two servers, on which a user moves
// from the first to the second and the back end does not know.
var twoServers = []deviation{
	{"26-two-servers", []int{1}, `PUSH flags=1 "{\"content\":\"stale route while`, nil,
		"10.1.9: a device that was kicked gets nothing more; the push goes to where the user is"},
	{"26-two-servers", []int{3}, `PUSH flags=0 ""`, []string{
		`PUSH flags=1 "{\"content\":\"stale route while D1 is still connected\",\"msgId\":\"2\",\"msgType\":2}"`,
		`PUSH flags=1 "{\"content\":\"stale route, no local connection on S1\",\"msgId\":\"3\",\"msgType\":2}"`,
	}, "10.1.1: the message itself arrives, not an empty one"},
	{"26-two-servers", []int{2}, "ERROR flags=0 session=3 ", []string{
		`OK flags=0 session=3 GATEWAY_PUSH 0 "{\"clientType\":1,\"timePoints\":[\"push-center-begin\",T,\"before-send\",T,\"success-end\",T],\"userId\":\"two-user\"}"`,
	}, "check 40: forwarded instead of code 3"},
	{"26-two-servers", []int{4}, "OK flags=0 session=4 ", []string{
		`ERROR flags=0 session=4 GATEWAY_PUSH 2 "push to client failure" "{\"clientType\":1,\"timePoints\":[\"push-center-begin\",T,\"failure-end\",T],\"userId\":\"two-user\"}"`,
	}, "10.1.1: the empty push, which the SDK sends only after code 3"},
	{"26-two-servers", []int{3}, closedByServer, []string{hangsUp}, "the second node is not stopped here"},
}

// TestReplayTwoServers plays that recording against two nodes.
func TestReplayTwoServers(t *testing.T) {
	script, err := loadTranscript("26-two-servers", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, unused := range script.deviate(twoServers) {
		t.Errorf("nothing was recorded that this deviates from: %+v", unused)
	}
	c := servertest.StartCluster(t, 2)
	target := func(m *servertest.Member) replayTarget {
		return replayTarget{Device: m.DeviceAddress(), WebSocket: m.Addr("websocket").String(), Gateway: m.GatewayAddress()}
	}
	second := target(c.Members[1])
	r := &replay{t: t, script: script, target: target(c.Members[0]), elsewhere: map[int]replayTarget{3: second, 4: second},
		ttl: 24 * time.Hour, report: t.Errorf}
	r.run()
}
