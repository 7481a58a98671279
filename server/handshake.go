package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"
	"unique"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// exchange is a handshake under way.
type exchange struct {
	c       *conn
	p       protocol.Packet
	m       protocol.Handshake
	kind    exporter.HandshakeKind
	started time.Time
	shared  protocol.SessionKey // clientKey and iv: the reply's key
	session protocol.SessionKey // the key of everything after it
	reply   protocol.HandshakeOK
}

// onHandshake starts a handshake. The RSA part runs in its pool; JSON has none.
func (c *conn) onHandshake(p *protocol.Packet) verdict {
	x := &exchange{c: c, p: *p, kind: exporter.Plain, started: time.Now()}
	if c.ws != nil {
		return x.plain()
	}
	x.p.Body = bytes.Clone(p.Body)
	if p.Flags&protocol.FlagCrypto != 0 {
		x.kind = exporter.Full
	}
	v := c.later(c.node.rsa, 0, func() {
		if x.decrypt() && x.check() && x.agree() {
			x.save()
			return
		}
		c.resume()
	})
	if v == stop {
		x.count(exporter.HandshakeOverload)
	}
	return v
}

// count ends the exchange in the metrics.
func (x *exchange) count(result exporter.HandshakeResult) {
	x.c.node.metrics.Handshakes(x.kind, result).Inc()
	if result == exporter.HandshakeOK {
		x.c.node.metrics.HandshakeDuration(x.kind).Observe(time.Since(x.started).Seconds())
	}
}

// plain is the handshake over WebSocket: no keys, no session.
func (x *exchange) plain() verdict {
	if x.p.Unmarshal(&x.m) != nil {
		x.count(exporter.HandshakeFailed)
		return x.c.broke(&x.p)
	}
	x.clip()
	if !x.named() {
		x.count(exporter.HandshakeRefused)
		return x.c.fail(&x.p, protocol.CodeNone, protocol.ReasonParamInvalid, protocol.CloseBadRequest)
	}
	if x.repeated() {
		return goOn
	}
	v := x.c.later(x.c.node.store, x.c.id, func() {
		x.c.adopt(x.device(0), nil)
		if x.c.say(protocol.CmdHandshake, 0, x.p.SessionID, nil) {
			x.count(exporter.HandshakeOK)
		}
		x.c.resume()
	})
	if v == stop {
		x.count(exporter.HandshakeOverload)
	}
	return v
}

// decrypt opens the request with the node's RSA key and decodes it. On false it
// was answered and the connection is closed.
func (x *exchange) decrypt() bool {
	var err error
	if x.kind == exporter.Full {
		x.p.Body, err = x.c.node.opt.Key.AppendDecrypt(nil, x.p.Body)
		x.p.Flags &^= protocol.FlagCrypto
	} else if x.c.node.opt.RequireEncryption {
		x.count(exporter.HandshakeRefused)
		x.c.fail(&x.p, protocol.CodeNone, protocol.ReasonParamInvalid, protocol.CloseBadRequest)
		return false
	}
	if err == nil && x.c.open(&x.p) == nil && x.p.Unmarshal(&x.m) == nil && len(x.m.ClientKey) >= protocol.KeySize && len(x.m.IV) > 0 {
		return true
	}
	x.count(exporter.HandshakeFailed)
	x.c.broke(&x.p)
	return false
}

// check applies MPush's rules to the fields, in its order.
func (x *exchange) check() bool {
	if !x.named() || len(x.m.IV) != protocol.KeySize || len(x.m.ClientKey) != protocol.KeySize {
		x.count(exporter.HandshakeRefused)
		x.c.fail(&x.p, protocol.CodeNone, protocol.ReasonParamInvalid, protocol.CloseBadRequest)
		return false
	}
	return !x.repeated()
}

// maxDeviceBytes bounds what a device says of itself, all names together: it is kept
// with the connection, the session and the route. MPush keeps whatever comes.
const maxDeviceBytes = 1 << 10

// named reports whether the device names itself, within the bound.
func (x *exchange) named() bool {
	return x.m.DeviceID != "" && len(x.m.DeviceID)+len(x.m.OSName)+len(x.m.OSVersion)+len(x.m.ClientVersion) <= maxDeviceBytes
}

// clip shortens what a page says of itself to the bound: no session hangs on its device
// id, and MPush takes one as long as a frame.
func (x *exchange) clip() {
	if x.named() {
		return
	}
	for _, name := range []*string{&x.m.DeviceID, &x.m.OSName, &x.m.OSVersion, &x.m.ClientVersion} {
		*name = strings.ToValidUTF8(strings.Clone((*name)[:min(len(*name), maxDeviceBytes/4)]), "")
	}
}

// repeated refuses the device that this connection already belongs to.
func (x *exchange) repeated() bool {
	x.c.mu.Lock()
	again := x.c.device != nil && x.c.device.id == x.m.DeviceID
	x.c.mu.Unlock()
	if again {
		x.count(exporter.HandshakeRefused)
		x.c.refuse(&x.p, protocol.CodeRepeatHandshake, protocol.ReasonRepeatHandshake)
	}
	return again
}

// agree makes the keys and the session. Unlike MPush's, session ids are random:
// nobody can guess one, and no two devices can get the same.
func (x *exchange) agree() bool {
	var random [protocol.KeySize + 16]byte
	if _, err := rand.Read(random[:]); err != nil { // never fails since Go 1.24
		x.c.close(protocol.CloseInternal, false)
		return false
	}
	serverKey, id := random[:protocol.KeySize], random[protocol.KeySize:]
	x.shared.Key, x.shared.IV = [protocol.KeySize]byte(x.m.ClientKey), [protocol.KeySize]byte(x.m.IV)
	x.session.Key = protocol.MixKey(x.shared.Key, [protocol.KeySize]byte(serverKey))
	x.session.IV = x.shared.IV
	x.reply = protocol.HandshakeOK{
		ServerKey:  serverKey,
		Heartbeat:  int32(x.c.node.clampHeartbeat(x.m.MaxHeartbeat).Milliseconds()),
		SessionID:  hex.EncodeToString(id),
		ExpireTime: time.Now().Add(x.c.node.opt.SessionTTL).UnixMilli(),
	}
	return true
}

// save stores the session before the device learns of it, then replies. A store
// that fails costs the device its resumption, not its connection.
func (x *exchange) save() {
	ok := x.c.node.store.submit(x.c.id, func() {
		err := x.c.node.saveSession(x.reply.SessionID, store.Session{
			OSName: x.m.OSName, OSVersion: x.m.OSVersion, ClientVersion: x.m.ClientVersion, DeviceID: x.m.DeviceID,
			Key: x.session, Expires: time.UnixMilli(x.reply.ExpireTime),
		})
		if err != nil {
			x.c.node.storeFailed(&x.c.node.saveFailed, err, "sessions were not saved, their devices will need a full handshake", "conn", x.c.name())
		}
		x.answer()
		x.c.resume()
	})
	if !ok {
		x.count(exporter.HandshakeOverload)
		x.c.close(protocol.CloseOverload, false)
		x.c.resume()
	}
}

// answer replies under the shared key and switches to the session's, in one step
// for everybody else who writes.
func (x *exchange) answer() {
	c := x.c
	device := x.device(time.Duration(x.reply.Heartbeat) * time.Millisecond)
	c.leave() // a new device on the connection leaves the user of the old one
	replied := c.sent(func(s *scratch) error {
		c.key, c.secured, c.cipher = x.shared, true, nil
		err := c.sealLocked(s, protocol.CmdHandshake, x.p.SessionID, &x.reply)
		c.device, c.key, c.cipher = device, x.session, nil
		return err
	})
	if replied {
		x.count(exporter.HandshakeOK)
	} else {
		x.count(exporter.HandshakeFailed)
	}
}

func (x *exchange) device(heartbeat time.Duration) *device {
	return &device{
		id: x.m.DeviceID, osName: unique.Make(x.m.OSName), osVersion: unique.Make(x.m.OSVersion),
		clientVersion: unique.Make(x.m.ClientVersion), heartbeat: heartbeat,
	}
}

// adopt makes d the connection's device, with the key of its session if it has one,
// and leaves the user of the device before it.
func (c *conn) adopt(d *device, key *protocol.SessionKey) {
	c.leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.device = d
	if key != nil {
		c.key, c.secured, c.cipher = *key, true, nil
	}
}

// clampHeartbeat is the interval agreed with a device that wants at most want
// milliseconds. MPush ignores the smallest interval a device names.
func (n *Node) clampHeartbeat(want int32) time.Duration {
	asked := time.Duration(want) * time.Millisecond
	return max(n.opt.MinHeartbeat, min(asked, n.opt.MaxHeartbeat))
}

func (n *Node) saveSession(id string, s store.Session) error {
	return n.ask(exporter.StoreSaveSession, func(ctx context.Context) error { return n.opt.Store.SaveSession(ctx, id, s) })
}
