package client

import (
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// maxProbes is how many heartbeats in a row may go unanswered.
const maxProbes = 2

// pulse is the rhythm of a connection's heartbeats. Only the timer's callback
// touches sent, and it never runs twice at once.
type pulse struct {
	interval time.Duration // between heartbeats: a margin less than negotiated
	probe    time.Duration // how long an answer may take
	sent     int           // heartbeats sent since bytes were heard
}

// newPulse fits the rhythm to the negotiated heartbeat.
func newPulse(heartbeat, margin, probe time.Duration) pulse {
	interval := max(heartbeat-margin, heartbeat/2)
	return pulse{interval: interval, probe: min(probe, interval/2)}
}

// Heartbeat sends one heartbeat now. It is needed only with
// DeviceOptions.ManualHeartbeat.
func (c *Conn) Heartbeat() error {
	return c.write([]byte{protocol.HeartbeatByte}, time.Time{})
}

// startPulse sends the first heartbeat after an interval.
func (c *Conn) startPulse(p pulse) {
	c.pulse = p
	c.writing.Lock()
	c.extendWritesLocked()
	c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.helpers.Add(1)
		c.timer = time.AfterFunc(p.interval, c.beat)
	}
}

// beat runs on the timer.
func (c *Conn) beat() {
	defer c.helpers.Done()
	wait, err := c.checkAlive()
	if err != nil {
		c.fail(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		c.helpers.Add(1)
		c.timer.Reset(wait)
	}
}

// checkAlive sends the heartbeat that is due, or judges the answer to the last
// ones, and says when to come again. While nobody reads there is no judging: the
// answer waits in the socket.
func (c *Conn) checkAlive() (time.Duration, error) {
	switch {
	case c.pulse.sent > 0 && c.heard.Load():
		c.pulse.sent = 0
		return c.pulse.interval - c.pulse.probe, nil
	case !c.reading.Load():
		c.pulse.sent = 0
		return c.pulse.interval, c.sendHeartbeat()
	case c.pulse.sent >= maxProbes:
		return 0, ErrSilent
	default:
		c.pulse.sent++
		c.heard.Store(false)
		return c.pulse.probe, c.sendHeartbeat()
	}
}

// sendHeartbeat also lets writes block until well after the next heartbeat: doing
// this once per heartbeat spares a deadline per acknowledgement. While a frame is
// being written it does nothing: the frame shows as much life, and if it is stuck
// its deadline must not move.
func (c *Conn) sendHeartbeat() error {
	if !c.writing.TryLock() {
		return nil
	}
	defer c.writing.Unlock()
	c.extendWritesLocked()
	return c.writeLocked([]byte{protocol.HeartbeatByte})
}

func (c *Conn) extendWritesLocked() {
	c.writeBy = time.Now().Add(c.pulse.interval + (maxProbes+1)*c.pulse.probe)
	_ = c.nc.SetWriteDeadline(c.writeBy) // fails only as the next write does
}

// hurry lets writes block for d from now on. It is for the end of a connection.
func (c *Conn) hurry(d time.Duration) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(d)) // fails only if the connection ended
}
