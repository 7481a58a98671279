package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

func TestDevicesOfTheWholeCluster(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	here.holds("u", pc)
	r.route("u", "here", pc, "c-pc", long)
	r.route("u", "there", mobile, "c1", long)
	r.route("u", "vanished", web, "c2", long)
	got, err := r.Devices(context.Background(), "u")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Device{
		{ClientType: mobile, Node: "there", Connection: "c1", Online: true, DeviceID: "d-u"},
		{ClientType: pc, Node: "here", Connection: "c-pc", Online: true, Transport: "tls", Tags: "vip"},
		{ClientType: web, Node: "vanished", DeviceID: "d-u"},
	} {
		if i < len(got) {
			got[i].Since = time.Time{}
		}
		if i >= len(got) || got[i] != want {
			t.Errorf("device %d of %+v, want %+v", i, got, want)
		}
	}
}

// TestDevicesAreWhereTheStoreSays, unless that is here and they are not.
func TestDevicesAreWhereTheStoreSays(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	here.holds("moved", mobile)
	here.holds("unknown", mobile)
	r.route("moved", "there", mobile, "c1", 0)
	r.route("left", "here", mobile, "c2", 0)
	for user, want := range map[string]Device{
		"moved":   {ClientType: mobile, Node: "there", Connection: "c1", Online: true, DeviceID: "d-moved"},
		"left":    {ClientType: mobile, Node: "here", DeviceID: "d-left"},
		"unknown": {ClientType: mobile, Node: "here", Connection: "c-mobile", Online: true, Transport: "tls", Tags: "vip"},
	} {
		got, err := r.Devices(context.Background(), user)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %+v, %v", user, got, err)
		}
		if got[0].Since = (time.Time{}); got[0] != want {
			t.Errorf("%s: %+v, want %+v", user, got[0], want)
		}
	}
	r.store.fail.Store(true)
	if got, err := r.Devices(context.Background(), "moved"); !errors.Is(err, errShaky) || len(got) != 1 {
		t.Errorf("without the store: %+v, %v", got, err)
	}
	r.store.fail.Store(false)
}

func TestKickEverywhere(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	here.holds("u", pc)
	r.route("u", "here", pc, "c-pc", long)
	r.route("u", "there", mobile, "c1", long)
	r.route("u", "vanished", web, "c2", long)
	if n, err := r.Kick(context.Background(), "u"); n != 2 || err != nil {
		t.Errorf("%d kicked, %v; want 2", n, err)
	}
	want := []store.Kick{{User: "u", DeviceID: "d-u", Connection: "c1", ClientType: mobile, Address: "there:3001"}}
	if !slices.Equal(r.store.kicks, want) || !slices.Equal(here.kicks, []string{"u[]"}) {
		t.Errorf("kicks %+v and %v", r.store.kicks, here.kicks)
	}
	if n, err := r.Kick(context.Background(), "u", protocol.ClientWeb); n != 1 || err != nil { // what the puppet says
		t.Errorf("%d kicked, %v", n, err)
	}
	if !slices.Equal(r.store.kicks, want) {
		t.Errorf("a device of another class was kicked: %+v", r.store.kicks)
	}
	r.store.fail.Store(true)
	if n, err := r.Kick(context.Background(), "u"); n != 1 || !errors.Is(err, errShaky) {
		t.Errorf("without the store: %d kicked, %v", n, err)
	}
	r.store.fail.Store(false)
	r.members.set(here)
	if n, err := r.Kick(context.Background(), "u"); n != 1 || err != nil {
		t.Errorf("alone: %d kicked, %v", n, err)
	}
}
