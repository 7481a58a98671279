package stranger

import (
	"net/http"
	"strings"
	"testing"
)

// TestPushAndAck pushes with each kind of ack to each kind of device.
func TestPushAndAck(t *testing.T) {
	p := startProduct(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			user := "user-" + k.name
			d := k.open(t, p, "device-"+k.name)
			must(t, d.Bind(soon(t), user, "vip"))

			sent := p.pushing(t, request{"user": user, "content": "none", "ack": "none", "wait": "20s"})
			if push := receive(t, d, "none", false); push.Flags != k.flags {
				t.Errorf("no ack comes with flags %d", push.Flags)
			}
			p.wantStages(t, outcome(t, sent, "sent").ID, "accepted", "routed", "queued", "written")

			for _, c := range []struct {
				ack  string
				flag byte
			}{{"auto", flagAutoAck}, {"biz", flagBizAck}} {
				id := k.name + "-" + c.ack
				acked := p.pushing(t, request{"id": id, "user": user, "content": "你好 " + c.ack, "ack": c.ack, "wait": "20s"})
				push := receive(t, d, "你好 "+c.ack, true)
				if push.Flags != k.flags|c.flag {
					t.Errorf("ack %s comes with flags %d", c.ack, push.Flags)
				}
				wantSilence(t, d)
				if m := p.message(t, id); m.Outcome != "pending" {
					t.Fatalf("outcome %s before the ack", m.Outcome)
				}
				select {
				case r := <-acked:
					t.Fatalf("answered before the ack: %+v", r)
				default:
				}
				must(t, d.Ack(soon(t), push))
				r := outcome(t, acked, "acked")
				if r.ID != id || r.LatencyMS == nil || *r.LatencyMS <= 0 {
					t.Errorf("answer %+v", r)
				}
				p.wantStages(t, id, "accepted", "routed", "queued", "written", "acked")
			}
		})
	}
}

// TestNoAck never acknowledges: the caller is told that it takes longer than it wants to wait,
// then that there was no ack in time. A late one changes nothing.
func TestNoAck(t *testing.T) {
	p := startProduct(t, "push.ack_timeout=1s")
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			user := "user-" + k.name
			d := k.open(t, p, "device-"+k.name)
			must(t, d.Bind(soon(t), user, ""))

			r := p.push(t, request{"user": user, "content": "1", "ack": "auto", "wait": "50ms"})
			if r.code != http.StatusAccepted || r.Status != "accepted" || r.Outcome != "" {
				t.Errorf("waited less than the ack's time: %+v", r)
			}
			late := receive(t, d, "1", true)
			eventually(t, "ack_timeout", func() bool { return p.message(t, r.ID).Outcome == "ack_timeout" })
			must(t, d.Ack(soon(t), late))
			wantSilence(t, d)
			p.wantStages(t, r.ID, "accepted", "routed", "queued", "written")

			outcome(t, p.pushing(t, request{"user": user, "content": "2", "ack": "biz", "wait": "20s"}), "ack_timeout")
			receive(t, d, "2", true)
			if m := p.message(t, r.ID); m.Outcome != "ack_timeout" {
				t.Errorf("outcome %s after a late ack", m.Outcome)
			}
		})
	}
}

// TestForeignAck acknowledges a push on connections that it was not sent to.
func TestForeignAck(t *testing.T) {
	p := startProduct(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			id := "foreign-" + k.name
			d := k.open(t, p, "device-"+k.name)
			must(t, d.Bind(soon(t), "user-"+k.name, ""))
			p.push(t, request{"id": id, "user": "user-" + k.name, "content": "mine", "ack": "auto"})
			push := receive(t, d, "mine", true)

			unbound := dial(t, p, "nobody")
			others := []visitor{unbound}
			for _, other := range kinds {
				o := other.open(t, p, "other-"+other.name)
				must(t, o.Bind(soon(t), "other-"+other.name, ""))
				others = append(others, o)
			}
			for _, o := range others {
				must(t, o.Ack(soon(t), push))
				wantSilence(t, o)
			}
			if m := p.message(t, id); m.Outcome != "pending" {
				t.Fatalf("outcome %s by the acks of others", m.Outcome)
			}
			must(t, d.Ack(soon(t), push))
			eventually(t, "the ack", func() bool { return p.message(t, id).Outcome == "acked" })
		})
	}
}

// TestFastConnect resumes a session on a new connection, more than once.
func TestFastConnect(t *testing.T) {
	p := startProduct(t)
	d := dial(t, p, "dev-1")
	session, err := d.Handshake(soon(t))
	must(t, err)
	granted := d.Heartbeats
	must(t, d.Bind(soon(t), "alice", ""))
	for range 2 {
		must(t, d.Close())
		d = dial(t, p, "dev-1")
		must(t, d.FastConnect(soon(t), session))
		if d.Heartbeats != granted {
			t.Errorf("heartbeat %v, was %v", d.Heartbeats, granted)
		}
		must(t, d.Bind(soon(t), "alice", ""))
		acked := p.pushing(t, request{"user": "alice", "content": "again", "ack": "auto", "wait": "20s"})
		must(t, d.Ack(soon(t), receive(t, d, "again", true)))
		outcome(t, acked, "acked")
	}
}

// TestKick logs in a second time with a device of the same class, and with one of another class.
func TestKick(t *testing.T) {
	p := startProduct(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			user := "user-" + k.name
			first, second := k.open(t, p, "first"), k.open(t, p, "second")
			must(t, first.Bind(soon(t), user, ""))
			must(t, second.Bind(soon(t), user, ""))
			kick, err := first.NextKick(soon(t))
			must(t, err)
			if kick != (Kick{DeviceID: "first", UserID: user}) {
				t.Errorf("%+v", kick)
			}

			pc := dial(t, p, "desk")
			pc.OSName = "Windows 10"
			_, err = pc.Handshake(soon(t))
			must(t, err)
			must(t, pc.Bind(soon(t), user, ""))

			sent := p.pushing(t, request{"user": user, "content": "to both", "wait": "20s"})
			receive(t, second, "to both", false)
			receive(t, pc, "to both", false)
			outcome(t, sent, "sent")
			wantSilence(t, first) // it is still connected
			wantSilence(t, second)
		})
	}
}

// TestBindings moves a device from user to user.
func TestBindings(t *testing.T) {
	p := startProduct(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			d := k.open(t, p, "device")
			for _, user := range []string{"ann", "ann", "ben"} {
				must(t, d.Bind(soon(t), user, "a,b"))
				sent := p.pushing(t, request{"user": user, "content": user, "wait": "20s"})
				receive(t, d, user, false)
				outcome(t, sent, "sent")
			}
			outcome(t, p.pushing(t, request{"user": "ann", "content": "gone", "wait": "20s"}), "offline")
			must(t, d.Unbind(soon(t), "ben"))
			outcome(t, p.pushing(t, request{"user": "ben", "content": "gone", "wait": "20s"}), "offline")
			wantSilence(t, d)
		})
	}
}

// TestLongContents sends what has to be compressed, both ways.
func TestLongContents(t *testing.T) {
	p := startProduct(t)
	long := strings.Repeat("长内容 and more. ", 3000)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			d := k.open(t, p, "device")
			must(t, d.Bind(soon(t), "user", ""))
			acked := p.pushing(t, request{"user": "user", "content": long, "ack": "auto", "wait": "20s"})
			push := receive(t, d, long, true)
			if push.Flags != k.long|flagAutoAck {
				t.Errorf("flags %d", push.Flags)
			}
			must(t, d.Ack(soon(t), push))
			outcome(t, acked, "acked")
			must(t, d.ClientPush(soon(t), []byte("short")))
			must(t, d.ClientPush(soon(t), []byte(long)))
			wantSilence(t, d)
		})
	}
}
