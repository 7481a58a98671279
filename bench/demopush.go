package bench

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// demoLanes is how many pushes may be under way; what is due beyond that is left out.
const demoLanes = 16

// push pushes to one user after the other at the wanted rate.
func (d *demo) push(ctx context.Context) {
	tick := time.NewTicker(max(time.Duration(float64(time.Second)/d.Rate), time.Millisecond))
	defer tick.Stop()
	var lanes errgroup.Group
	lanes.SetLimit(demoLanes)
	defer lanes.Wait()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !lanes.TryGo(func() error { d.send(ctx, number, demoPush(number, d.Devices)); return nil }) {
			d.leftOut.Add(1)
		}
	}
}

// broadcast pushes to everybody, to those with a tag and to those with a version, in turn.
func (d *demo) broadcast(ctx context.Context) {
	if d.Broadcast == 0 {
		return
	}
	for number := 0; pause(ctx, d.Broadcast); number++ {
		d.send(ctx, number, demoBroadcast(number))
	}
}

// send pushes through one allocator after the other.
func (d *demo) send(ctx context.Context, number int, request client.PushRequest) {
	_, err := d.pushers[number%len(d.pushers)].Push(ctx, request)
	switch {
	case err == nil:
		d.accepted.Add(1)
	case ctx.Err() == nil:
		if d.refused.Add(1) <= 3 {
			d.say("push %d: %v", number, err)
		}
	}
}

// demoPush is one push to a user: of a hundred three are to nobody and four want a tag
// that not everybody has; every second one wants an acknowledgement.
func demoPush(number, devices int) client.PushRequest {
	r := client.PushRequest{User: demoUser(rand.N(devices)), Content: demoContent(20 + rand.N(400))}
	switch number % 4 {
	case 0:
		r.Ack = protocol.AckAuto
	case 2:
		r.Ack = protocol.AckBiz
	}
	switch share := rand.N(100); {
	case share < 3:
		r.User = "demo-nobody"
	case share < 7:
		r.Tags = []string{"vip"}
	case share < 9:
		r.Content = demoContent(8 << 10)
	}
	return r
}

func demoBroadcast(number int) client.PushRequest {
	r := client.PushRequest{Broadcast: true, Content: demoContent(100)}
	switch number % 3 {
	case 1:
		r.Tags = []string{"beta"}
	case 2:
		r.Condition = "clientVersion > '1.2'"
	}
	return r
}

// demoContent is text of so many bytes.
func demoContent(size int) []byte {
	const text = "the quick brown fox jumps over the lazy dog; "
	return []byte(strings.Repeat(text, size/len(text)+1)[:size])
}
