package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// The canary of a node is a device of its own: it connects to the node's port for devices
// as any other does, binds [protocol.CanaryUser] and acknowledges what it gets, so that
// every entry point of the cluster can try the whole way of a push at any time; see
// package canary for who pushes.
//
// It is a connection like others for the metrics and for [Limits.Connections]. It is none
// of the node's devices for operators and allocators, gets no broadcasts, and is the last
// to leave when the node drains.

// canary is the node's side of its own device.
type canary struct {
	secret string        // by which the node knows its own device
	leave  chan struct{} // closed when the node has drained: the device is not to come back
}

// Pauses before the device connects again.
const (
	canaryMinPause = time.Second
	canaryMaxPause = 10 * time.Second
)

func newCanary() canary { return canary{secret: rand.Text(), leave: make(chan struct{})} }

// admits reports whether a BIND to a node's own user comes from this node's device.
func (n *Node) admits(m protocol.Bind) bool {
	return n.opt.Canary && m.UserID == protocol.CanaryUser(n.opt.ID) &&
		subtle.ConstantTimeCompare([]byte(m.Data), []byte(n.canary.secret)) == 1
}

// keepCanary runs the device until the node has drained or stops. Without a port for
// devices there is none.
func (n *Node) keepCanary() {
	address := n.Addr(kindDevice)
	if address == nil {
		n.log.Info("the node has no canary: its port for devices is off")
		return
	}
	device, err := client.NewDevice(n.canaryOptions(address))
	if err != nil {
		n.log.Error("the node has no canary", "err", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.services.Go(func() {
		defer cancel()
		select {
		case <-n.quit:
		case <-n.canary.leave:
		}
	})
	for ctx.Err() == nil {
		err := device.Run(ctx) // it returns early only if it was refused for good, by whatever
		if ctx.Err() != nil {
			return
		}
		n.log.Warn("the node's canary was refused and tries again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(canaryMaxPause):
		}
	}
}

// canaryOptions are those of a device of this node. It comes over TLS if the node has it;
// whose certificate that is need not be checked, as the socket is the node's own.
func (n *Node) canaryOptions(address net.Addr) client.DeviceOptions {
	o := client.DeviceOptions{
		Address: address.String(), PublicKey: n.opt.Key.Public(),
		DeviceID: "canary of " + n.opt.ID, OSName: "fanfare", ClientVersion: n.opt.Version,
		User: protocol.CanaryUser(n.opt.ID), Credential: n.canary.secret,
		MinHeartbeat: n.opt.MinHeartbeat, MaxHeartbeat: n.opt.MaxHeartbeat,
		AfterKick: client.KickReconnect,
		Backoff:   client.Backoff{Min: canaryMinPause, Max: canaryMaxPause},
	}
	if n.opt.TLS != nil {
		o.TLS = &tls.Config{InsecureSkipVerify: true, Certificates: n.opt.TLS.Certificates, MinVersion: tls.VersionTLS12}
	}
	return o
}

// dismissCanary lets the device go after all others. The node ends the connection, so
// that its reason is the drain; the port is closed already.
func (n *Node) dismissCanary() {
	if c := n.hub.canary.Load(); c != nil {
		c.close(protocol.CloseDrain, false)
	}
	close(n.canary.leave)
}
