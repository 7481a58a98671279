package server

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// This is the side of a link between nodes that is called; [cluster.Link] is the other.
// What comes over a link is delivered to the connections of this node and nowhere else,
// so that nothing goes in circles.

const (
	linkInfoEvery  = time.Second      // how often the node looks whether it has news of itself
	linkClockEvery = 10 * time.Second // how often it speaks of itself without news, for its clock
	linkSilence    = 15 * time.Second // after which a link that says nothing is closed (idle); it pings more often
)

// linkPeer is another node or an allocator at the other end of a gateway connection.
type linkPeer struct {
	hello     protocol.LinkHello
	challenge protocol.LinkChallenge
	memory    *linkMemory   // nil until the peer has proved who it is
	heard     atomic.Int64  // when it last said something, on the node's clock
	news      chan struct{} // the node has changed
}

// link takes a frame of a link; see the commands in package protocol. False stops the
// reading: the connection was closed. The caller has checked who may connect.
func (w *gateway) link(p *protocol.Packet) (more bool) {
	switch {
	case p.Flags != 0:
		w.end(protocol.CloseBadBody, false) // nothing on a link is compressed or encrypted
		return false
	case w.peer == nil && p.Command == protocol.CmdLinkHello:
		return w.linkHello(p)
	case w.peer == nil && w.stranger.Load():
		w.turnAway(protocol.CloseUnsupported)
		return false
	case w.peer == nil:
		w.fail(p, protocol.CodeUnsupportedCommand, protocol.CloseUnsupported)
		return false
	case w.peer.memory == nil && p.Command == protocol.CmdLinkProof:
		return w.linkProof(p)
	case w.peer.memory == nil:
		return w.linkRefuse(protocol.LinkRefusedOther, "a proof was to come")
	}
	w.peer.heard.Store(int64(w.node.clock()))
	return w.linkRequest(p)
}

// frameLimit is the longest body that the other end may send now, in bytes.
func (w *gateway) frameLimit() int {
	if w.peer != nil && w.peer.memory != nil {
		return protocol.MaxLinkFrame
	}
	return w.node.opt.Limits.GatewayPacketBytes
}

func (w *gateway) linkHello(p *protocol.Packet) bool {
	n := w.node
	w.peer = &linkPeer{news: make(chan struct{}, 1)}
	hello, challenge := &w.peer.hello, &w.peer.challenge
	if err := hello.UnmarshalBinary(p.Body); err != nil {
		return w.linkRefuse(protocol.LinkRefusedOther, err.Error())
	}
	switch {
	case hello.Version != cluster.LinkVersion:
		return w.linkRefuse(protocol.LinkRefusedVersion, fmt.Sprintf("%s speaks version %d", n.opt.ID, cluster.LinkVersion))
	case hello.Want != n.opt.ID:
		return w.linkRefuse(protocol.LinkRefusedIdentity, "this is "+n.opt.ID)
	}
	*challenge = protocol.LinkChallenge{Version: cluster.LinkVersion, ID: n.opt.ID}
	_, _ = rand.Read(challenge.Nonce[:]) // never fails since Go 1.24
	challenge.Proof = protocol.ProveLink(n.opt.GatewaySecret, false, hello, challenge)
	return w.linkSay(protocol.CmdLinkChallenge, 0, challenge)
}

func (w *gateway) linkProof(p *protocol.Packet) bool {
	n, peer := w.node, w.peer
	var m protocol.LinkProof
	if err := m.UnmarshalBinary(p.Body); err != nil {
		return w.linkRefuse(protocol.LinkRefusedOther, err.Error())
	}
	if !hmac.Equal(m.Proof, protocol.ProveLink(n.opt.GatewaySecret, true, &peer.hello, &peer.challenge)) {
		return w.linkRefuse(protocol.LinkRefusedSecret, "security.gateway_secret differs")
	}
	if n.opt.GatewaySecret != "" {
		w.proved()
	}
	peer.heard.Store(int64(n.clock()))
	ready := protocol.LinkReady{Window: int32(n.opt.Limits.GatewayInFlight), AckTimeout: int32(n.opt.AckTimeout.Milliseconds())}
	peer.memory = n.gateways.links.of(linkKey{peer.hello.ID, peer.hello.Instance}, n)
	old, err := peer.memory.attach(w, m.Received, &ready)
	if old != nil {
		old.end(protocol.CloseReplaced, false)
	}
	if !w.survives(err) {
		return false
	}
	n.log.Debug("link was opened", "peer", peer.hello.ID, "remote", w.nc.RemoteAddr().String(), "resumed", ready.Resumed)
	n.tasks.Go(w.keepLink) // the reader runs, so nobody waits for tasks yet
	return true
}

// linkRefuse says why there will be no link, and closes.
func (w *gateway) linkRefuse(code protocol.LinkRefusal, reason string) bool {
	n := w.node
	n.metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultRefused).Inc()
	what := []any{"peer", w.peer.hello.ID, "remote", w.nc.RemoteAddr().String(), "reason", reason}
	switch {
	case w.stranger.Load(): // who can have any number of names
		n.gateways.refused.Warn(n.log, "link refused", what...)
	case n.gateways.links.firstRefusal(w.peer.hello.ID, code):
		n.log.Warn("link refused", what...)
	}
	if w.linkSay(protocol.CmdLinkRefused, 0, &protocol.LinkRefused{Code: code, Reason: reason}) && w.uncork() {
		w.end(protocol.CloseBadRequest, true)
	}
	return false
}

// linkSay writes a frame, with the others of this read if there are any.
func (w *gateway) linkSay(cmd protocol.Command, session int32, m interface {
	AppendBinary(dst []byte) ([]byte, error)
}) bool {
	s := borrow()
	defer s.giveBack()
	var err error
	if s.body, err = m.AppendBinary(s.body[:0]); err != nil {
		w.node.log.Error("link frame cannot be written", "err", err)
		return true
	}
	s.frame = protocol.AppendPacket(s.frame[:0], protocol.Packet{Command: cmd, SessionID: session, Body: s.body})
	return w.survives(w.put(s.frame))
}

// put queues or writes bytes; on an error the caller calls survives without any lock.
func (w *gateway) put(frames []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = append(w.out, frames...)
	if w.corked {
		return nil
	}
	return w.flushLocked()
}

func (w *gateway) isOpen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason == protocol.CloseUnknown
}

// linkRequest takes what an open link sends.
func (w *gateway) linkRequest(p *protocol.Packet) bool {
	var err error
	switch p.Command {
	case protocol.CmdLinkPing:
		var m protocol.LinkPing
		if err = m.UnmarshalBinary(p.Body); err == nil {
			pong := protocol.LinkPing{Received: w.peer.memory.forget(m.Received)}
			return w.linkSay(protocol.CmdLinkPong, p.SessionID, &pong)
		}
	case protocol.CmdLinkPush:
		var m protocol.LinkPush
		if err = m.UnmarshalBinary(p.Body); err == nil {
			return w.linkPush(&m)
		}
	case protocol.CmdLinkBroadcast:
		var m protocol.LinkPush
		if err = m.UnmarshalBinary(p.Body); err == nil {
			return w.linkBroadcast(&m)
		}
	case protocol.CmdLinkCancel:
		var m protocol.LinkCancel
		if err = m.UnmarshalBinary(p.Body); err == nil {
			return w.linkCommand(m.Request, func() { w.node.Cancel(m.ID) })
		}
	case protocol.CmdLinkDrain:
		var m protocol.LinkDrain
		if err = m.UnmarshalBinary(p.Body); err == nil {
			return w.linkCommand(m.Request, func() { w.drainFor(m.Rate) })
		}
	default:
		w.end(protocol.CloseUnsupported, false)
		return false
	}
	w.node.log.Warn("link closed: a frame cannot be read", "peer", w.peer.hello.ID, "err", err)
	w.end(protocol.CloseBadBody, false)
	return false
}

func (w *gateway) drainFor(rate int) {
	w.node.log.Info("another node asks to drain", "peer", w.peer.hello.ID, "rate", rate)
	w.node.Drain(rate)
	select {
	case w.peer.news <- struct{}{}:
	default:
	}
}

// linkCommand does what has no result but that it was done.
func (w *gateway) linkCommand(request uint64, do func()) bool {
	memory := w.peer.memory
	if !memory.begin(w, request, 0) {
		return false
	}
	do()
	if conn, err := memory.deliver(&protocol.LinkResult{Request: request, Outcome: protocol.OutcomeSent}, 0); err != nil {
		conn.survives(err)
	}
	return w.isOpen()
}

// keepLink tells the peer of this node as long as the connection lives, and closes it
// when the peer is silent.
func (w *gateway) keepLink() {
	n, peer := w.node, w.peer
	defer peer.memory.detach(w)
	tick := time.NewTicker(linkInfoEvery)
	defer tick.Stop()
	var told cluster.Info
	var saidAt time.Duration
	for w.isOpen() {
		if info, now := n.Info(), n.clock(); info != told || now-saidAt >= linkClockEvery {
			told, saidAt = info, now
			w.linkInfo(&info)
		}
		if n.clock()-time.Duration(peer.heard.Load()) > linkSilence {
			w.end(protocol.CloseIdle, false)
		}
		select {
		case <-n.quit:
			return
		case <-peer.news:
			continue
		case <-tick.C:
			w.survives(peer.memory.showProgress(w))
		}
	}
}

func (w *gateway) linkInfo(info *cluster.Info) {
	text, err := json.Marshal(cluster.LinkInfo{Info: *info, Clock: time.Now().UnixMilli(), Canary: info.Canary})
	if err != nil {
		w.node.log.Error("node cannot be described", "err", err)
		return
	}
	w.linkSay(protocol.CmdLinkInfo, 0, rawBody(text))
}

// rawBody is a body that is encoded already.
type rawBody []byte

// AppendBinary appends the body.
func (b rawBody) AppendBinary(dst []byte) ([]byte, error) { return append(dst, b...), nil }
