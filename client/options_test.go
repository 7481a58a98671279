package client

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOptionsThatAreMissingOrWrong(t *testing.T) {
	good := DeviceOptions{Address: "127.0.0.1:3000", DemoKey: true, DeviceID: "d"}
	for _, c := range []struct {
		option string
		spoil  func(*DeviceOptions)
	}{
		{"Address", func(o *DeviceOptions) { o.Address = "" }},
		{"PublicKey", func(o *DeviceOptions) { o.DemoKey = false }},
		{"DemoKey", func(o *DeviceOptions) { o.PublicKey = demoKey(t).Public() }},
		{"DeviceID", func(o *DeviceOptions) { o.DeviceID = "" }},
		{"AfterKick", func(o *DeviceOptions) { o.AfterKick = 9 }},
		{"MinHeartbeat", func(o *DeviceOptions) { o.MinHeartbeat = -1 }},
		{"MaxHeartbeat", func(o *DeviceOptions) { o.MaxHeartbeat = 30 * 24 * time.Hour }},
		{"HeartbeatMargin", func(o *DeviceOptions) { o.HeartbeatMargin = -1 }},
		{"ProbeTimeout", func(o *DeviceOptions) { o.ProbeTimeout = -1 }},
		{"ConnectTimeout", func(o *DeviceOptions) { o.ConnectTimeout = -1 }},
		{"RequestTimeout", func(o *DeviceOptions) { o.RequestTimeout = -1 }},
		{"Backoff", func(o *DeviceOptions) { o.Backoff.Min = -1 }},
	} {
		bad := good
		c.spoil(&bad)
		var option *OptionError
		_, err := NewDevice(bad)
		if !errors.As(err, &option) || option.Option != c.option || !strings.Contains(err.Error(), c.option) {
			t.Errorf("%s: NewDevice says %v", c.option, err)
		}
		if _, err := Dial(t.Context(), bad); !errors.As(err, &option) || option.Option != c.option {
			t.Errorf("%s: Dial says %v", c.option, err)
		}
	}
}

func TestNoKeyNamesTheWayOut(t *testing.T) {
	_, err := NewDevice(DeviceOptions{Address: "127.0.0.1:3000", DeviceID: "d"})
	if err == nil || !strings.Contains(err.Error(), "DemoKey") {
		t.Errorf("error %v does not name DemoKey", err)
	}
}

func TestOptionDefaults(t *testing.T) {
	o, err := DeviceOptions{Address: "127.0.0.1:3000", DemoKey: true, DeviceID: "d", ReadBuffer: 1, CompressThreshold: -1}.prepared()
	if err != nil {
		t.Fatal(err)
	}
	if !o.PublicKey.Equal(demoKey(t).Public()) {
		t.Error("DemoKey did not give the demo key")
	}
	if o.OSName == "" || o.OSName == "darwin" || o.OSVersion == "" || o.ClientVersion == "" {
		t.Errorf("identity %q %q %q", o.OSName, o.OSVersion, o.ClientVersion)
	}
	if o.MaxHeartbeat != DefaultMaxHeartbeat || o.MaxPacket != DefaultMaxPacket || o.RequestTimeout != DefaultRequestTimeout {
		t.Errorf("limits %+v", o)
	}
	if o.ReadBuffer != minReadBuffer || o.CompressThreshold != -1 {
		t.Errorf("read buffer %d, threshold %d", o.ReadBuffer, o.CompressThreshold)
	}
	if o.Dialer == nil || o.Logger == nil {
		t.Error("no dialer or no logger")
	}
}
