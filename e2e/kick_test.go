package e2e

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// after sets what a device does when it is kicked.
func after(action client.KickAction) func(*client.DeviceOptions) {
	return func(o *client.DeviceOptions) { o.AfterKick = action }
}

func called(id string) func(*client.DeviceOptions) {
	return func(o *client.DeviceOptions) { o.DeviceID = id }
}

func TestSecondLoginEndsTheFirst(t *testing.T) {
	r := start(t)
	first := switchOn(t, r.DeviceAddress(), "alice", called("first"), after(client.KickStop))
	first.until(client.StateBound)
	second := switchOn(t, r.DeviceAddress(), "alice", called("second"))
	second.until(client.StateBound)
	if kick := receive(t, "the kick", first.kicks); kick != (protocol.Kick{DeviceID: "first", UserID: "alice"}) {
		t.Errorf("kick %+v", kick)
	}
	if err := receive(t, "the end of Run", first.ended); !errors.Is(err, client.ErrKicked) {
		t.Errorf("Run ended with %v", err)
	}
	r.reaches(t, second, "alice", "to the second")
}

func TestOtherClassOfDeviceKicksNobody(t *testing.T) {
	r := start(t)
	mobile := switchOn(t, r.DeviceAddress(), "alice", called("mobile"))
	mobile.until(client.StateBound)
	pc := switchOn(t, r.DeviceAddress(), "alice", called("pc"), func(o *client.DeviceOptions) { o.OSName = "windows" })
	pc.until(client.StateBound)
	if result := r.push(t, "alice", "to both", protocol.AckAuto); result.Outcome != protocol.OutcomeAcked {
		t.Errorf("the push ended as %v", result.Outcome)
	}
	if a, b := string(mobile.next().Content), string(pc.next().Content); a != "to both" || b != a {
		t.Errorf("the devices received %q and %q", a, b)
	}
}

func TestKickedDeviceMayStay(t *testing.T) {
	r := start(t)
	first := switchOn(t, r.DeviceAddress(), "alice", called("first"), after(client.KickStay))
	first.until(client.StateBound)
	second := switchOn(t, r.DeviceAddress(), "alice", called("second"), after(client.KickStay))
	second.until(client.StateBound)
	receive(t, "the kick", first.kicks)
	first.until(client.StateConnected)
	r.reaches(t, second, "alice", "to the second")
	if err := first.Bind(t.Context(), "alice", "", ""); err != nil {
		t.Fatal(err)
	}
	receive(t, "the kick of the second", second.kicks)
	second.until(client.StateConnected)
	r.reaches(t, first, "alice", "to the first again")
	if n := testutil.ToFloat64(r.Metrics.Opened(protocol.TCP)); n != 2 {
		t.Errorf("%v connections were opened: the kicked should have stayed", n)
	}
	if len(first.pushes) > 0 || len(second.pushes) > 0 {
		t.Error("a push came twice or to the wrong device")
	}
}

func TestKickedDeviceMayTakeTheUserBack(t *testing.T) {
	r := start(t)
	stubborn := switchOn(t, r.DeviceAddress(), "alice", called("stubborn"), after(client.KickReconnect))
	stubborn.until(client.StateBound)
	meek := switchOn(t, r.DeviceAddress(), "alice", called("meek"), after(client.KickStop))
	if err := receive(t, "the end of the meek", meek.ended); !errors.Is(err, client.ErrKicked) {
		t.Errorf("Run ended with %v", err)
	}
	stubborn.until(client.StateBound)
	r.reaches(t, stubborn, "alice", "still here")
}

func TestOperatorKicks(t *testing.T) {
	for name, test := range map[string]struct {
		action client.KickAction
		later  client.State
		bound  int
	}{
		"stop":      {client.KickStop, client.StateStopped, 0},
		"stay":      {client.KickStay, client.StateConnected, 0},
		"reconnect": {client.KickReconnect, client.StateBound, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			p := switchOn(t, r.DeviceAddress(), "alice", after(test.action))
			p.until(client.StateBound)
			if n, err := r.pusher.Kick(t.Context(), "alice"); n != 1 || err != nil {
				t.Fatalf("kicked %d, %v", n, err)
			}
			receive(t, "the kick", p.kicks)
			servertest.Eventually(t, "the connection is closed as kicked", func() bool {
				return testutil.ToFloat64(r.Metrics.Closed(protocol.TCP, protocol.CloseKicked)) == 1
			})
			servertest.Eventually(t, "the device does as it was told", func() bool {
				info := r.Info()
				back := info.Connections == 1
				return p.State() == test.later && info.Users == test.bound && back == (test.action != client.KickStop)
			})
		})
	}
}

func TestOperatorKicksOneClass(t *testing.T) {
	r := start(t)
	mobile := switchOn(t, r.DeviceAddress(), "alice", called("mobile"))
	pc := switchOn(t, r.DeviceAddress(), "alice", called("pc"), func(o *client.DeviceOptions) { o.OSName = "windows" })
	mobile.until(client.StateBound)
	pc.until(client.StateBound)
	if n, err := r.pusher.Kick(t.Context(), "alice", protocol.ClientPC); n != 1 || err != nil {
		t.Fatalf("kicked %d, %v", n, err)
	}
	if err := receive(t, "the end of Run", pc.ended); !errors.Is(err, client.ErrKicked) {
		t.Errorf("Run ended with %v", err)
	}
	r.reaches(t, mobile, "alice", "still here")
	if n, err := r.pusher.Kick(t.Context(), "stranger"); n != 0 || err != nil {
		t.Errorf("kicked %d of nobody, %v", n, err)
	}
}
