package dingtalk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// repeatTTL is how long a notification that Alertmanager calls a repeat counts as a
// duplicate: long enough for the second one of a pair, far shorter than any repeat
// interval.
const repeatTTL = time.Minute

const repeatReason = "repeat interval elapsed"

// webhook keeps a notification on disk and then answers 200. What DingTalk does about it
// is not Alertmanager's business: an error would make it send again, and faster.
func (b *Bridge) webhook(w http.ResponseWriter, r *http.Request) {
	s, name := b.setup.Load(), r.PathValue("target")
	if s.targets[name] == nil {
		b.metrics.webhooks.WithLabelValues("", webhookUnknown).Inc()
		answer(w, http.StatusNotFound, fmt.Sprintf("there is no target %q; known: %s", cut(name), strings.Join(s.config.TargetNames(), ", ")))
		return
	}
	result := func(what string) { b.metrics.webhooks.WithLabelValues(name, what).Inc() }
	body, p, release, no := b.take(w, r, s.config.Limits.Body)
	if no != nil {
		result(no.result)
		b.refused(w, no, "target", name)
		return
	}
	defer release()
	forget := func() {}
	if len(s.targets[name].twins) > 0 {
		forget = b.twins.note(name, p, b.options.Now())
	}
	duplicate, err := b.spool.Accept(item(name, p, body, s.config.DedupeTTL))
	if (duplicate || err != nil) && !errors.Is(err, spool.ErrStalled) { // that may yet be kept
		forget()
	}
	switch {
	case errors.Is(err, spool.ErrFull):
		result(webhookFull)
		b.refused(w, queueFull(), "target", name)
	case err != nil: // the spool logs it
		result(webhookDisk)
		b.disk.unkept()
		refuse(w, "the notification cannot be kept on disk now")
	case duplicate:
		result(webhookDuplicate)
		answer(w, http.StatusOK, "OK")
	default:
		result(webhookAccepted)
		b.wake(name)
		answer(w, http.StatusOK, "OK")
	}
}

// heartbeat takes Alertmanager's notification of an alert that always fires. Its end is
// no beat: something has silenced it.
func (b *Bridge) heartbeat(w http.ResponseWriter, r *http.Request) {
	s, name := b.setup.Load(), r.PathValue("name")
	if _, ok := s.config.Deadman[name]; !ok {
		b.metrics.beats.WithLabelValues("", webhookUnknown).Inc()
		answer(w, http.StatusNotFound, fmt.Sprintf("there is no switch %q; known: %s", cut(name), strings.Join(deadmanNames(s), ", ")))
		return
	}
	result := func(what string) { b.metrics.beats.WithLabelValues(name, what).Inc() }
	_, p, release, no := b.take(w, r, s.config.Limits.Body)
	if no != nil {
		result(no.result)
		b.refused(w, no, "switch", name)
		return
	}
	defer release()
	if len(p.Alerts.Firing()) == 0 {
		result(webhookSilent)
		answer(w, http.StatusOK, "OK, but only a firing alert is a beat")
		return
	}
	if _, err := b.deadmen.beat(name); err != nil {
		result(webhookDisk)
		refuse(w, "the beat cannot be kept on disk now")
		return
	}
	result(webhookAccepted)
	answer(w, http.StatusOK, "OK")
}

// item is what the spool keeps of a notification.
func item(target string, p *message.Payload, body []byte, ttl time.Duration) spool.Item {
	if p.NotificationReason == repeatReason {
		ttl = min(ttl, repeatTTL)
	}
	group := sha256.Sum256([]byte(p.GroupKey))
	return spool.Item{Entry: spool.Entry{Target: target, Kind: spool.Payload, Rank: rankOf(p), Count: 1, Group: binary.BigEndian.Uint64(group[:])},
		Body: body, Key: keyOf(target, p), TTL: ttl}
}

// rankOf is a notification's urgency.
func rankOf(p *message.Payload) uint8 {
	rank := uint8(rankResolved)
	for _, a := range p.Alerts {
		switch {
		case a.Resolved():
		case a.Severity() == "critical":
			return rankCritical
		case a.Severity() == "warning":
			rank = min(rank, rankWarning)
		default:
			rank = min(rank, rankFiring)
		}
	}
	return rank
}

// keyOf is the same for two notifications that say the same: which group, and which
// alerts in which state since when. An alert that ends and fires again has another start.
func keyOf(target string, p *message.Payload) spool.Key {
	lines := alertLines(p)
	h := sha256.New()
	for _, part := range append([]string{target, p.GroupKey, p.Status}, lines...) {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(part)))
		h.Write(length[:])
		io.WriteString(h, part)
	}
	return spool.Key(h.Sum(nil))
}

// alertLines is a line for each alert with its state, in order.
func alertLines(p *message.Payload) []string {
	lines := make([]string, len(p.Alerts))
	for i, a := range p.Alerts {
		lines[i] = identity(a) + "\x00" + a.Status + "\x00" + a.StartsAt.UTC().Format(time.RFC3339Nano)
	}
	slices.Sort(lines)
	return lines
}
