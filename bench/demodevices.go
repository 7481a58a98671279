package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// A device that is slow takes so long to look at a message before it acknowledges it:
// to be seen in the tail of the latency, and not to break what is promised of it.
const (
	slowLeast = 150 * time.Millisecond
	slowMost  = 650 * time.Millisecond
)

// fullHandshake is which of a device's connections have forgotten the session of the
// one before.
const fullHandshake = 4

// demoDevice is one of the devices of a demonstration.
type demoDevice struct {
	number  int
	user    string
	os      string // decides the client type
	version string
	tags    string
	slow    bool
}

// demoDeviceOf is always the same for a number: of ten devices five are of Android, two
// of iOS, two of PCs, whose users have one of the others too, and one is a browser.
func demoDeviceOf(i int) demoDevice {
	d := demoDevice{
		number: i, user: demoUser(i), version: fmt.Sprintf("1.%d", i%7), slow: i%50 == 3,
		os: [...]string{"android", "android", "ios", "android", "windows", "android", "ios", "android", "mac", web}[i%10],
	}
	switch i % 4 {
	case 0:
		d.tags = "beta"
	case 1:
		d.tags = "beta,vip"
	}
	return d
}

// web is the system of a device that speaks JSON over a WebSocket.
const web = "web"

// demoUser is the user of device i. A PC belongs to whom the device before it belongs.
func demoUser(i int) string {
	if i%10 == 4 || i%10 == 8 {
		i--
	}
	return fmt.Sprintf("demo-%d", i)
}

// live connects a device, lets it leave after a while, and come back a little later.
func (d *demo) live(ctx context.Context, device demoDevice) {
	var sessions *client.MemorySessions
	wait := time.Duration(device.number) * demoGap
	for turn := 0; pause(ctx, wait); turn++ {
		if turn%fullHandshake == 0 {
			sessions = new(client.MemorySessions)
		}
		life, cancel := context.WithTimeout(ctx, d.Session/2+rand.N(d.Session))
		err := d.connect(life, device, sessions)
		if life.Err() == nil {
			d.failed.Add(1)
			d.sayFailed(device, err)
		}
		cancel()
		wait = time.Second + rand.N(4*time.Second)
	}
}

// sayFailed tells of the first connections that fail; the rest are counted.
func (d *demo) sayFailed(device demoDevice, err error) {
	if d.failed.Load() <= 3 {
		d.say("device %d of %s: %v", device.number, device.user, err)
	}
}

// connect returns when the device's life is over, or when it was refused.
func (d *demo) connect(life context.Context, device demoDevice, sessions *client.MemorySessions) error {
	if device.os == web {
		return d.connectWeb(life, device)
	}
	var bound atomic.Bool
	defer d.present(&bound, false)
	phone, err := client.NewDevice(client.DeviceOptions{
		Allocator: d.Allocators[device.number%len(d.Allocators)], PublicKey: d.key, SessionStore: sessions,
		DeviceID: fmt.Sprintf("demo-device-%d", device.number), OSName: device.os, OSVersion: "1", ClientVersion: device.version,
		User: device.user, Tags: device.tags, Dialer: d.dial,
		OnPush: func(m *client.Message) { d.look(life, device, m) },
		OnState: func(s client.State, err error) {
			if d.present(&bound, s == client.StateBound); err != nil && life.Err() == nil {
				d.failed.Add(1)
				d.sayFailed(device, err)
			}
		},
	})
	if err != nil {
		return err
	}
	return phone.Run(life)
}

// present keeps the number of devices that are bound.
func (d *demo) present(before *atomic.Bool, now bool) {
	switch was := before.Swap(now); {
	case now && !was:
		d.connected.Add(1)
	case was && !now:
		d.connected.Add(-1)
	}
}

// look is what a device does with a message.
func (d *demo) look(life context.Context, device demoDevice, m *client.Message) {
	d.received.Add(1)
	if device.slow {
		pause(life, slowLeast+rand.N(slowMost-slowLeast))
	}
	if m.Mode == protocol.AckBiz {
		_ = m.Ack() // should the connection have ended, the device notices by itself
	}
}
