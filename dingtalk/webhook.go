package dingtalk

import (
	"bytes"
	"context"
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
	release, status, err := b.admit(w, r, s.config.Limits.Body)
	if status != http.StatusOK {
		b.refused(w, s, name, status, err)
		return
	}
	defer release()
	body, p, status, err := b.read(w, r, s.config.Limits.Body)
	if status != http.StatusOK {
		b.refused(w, s, name, status, err)
		return
	}
	duplicate, err := b.spool.Accept(item(name, p, body, s.config.DedupeTTL))
	switch {
	case errors.Is(err, spool.ErrFull):
		result(webhookFull)
		refuse(w, "the queue is full; it is sent as fast as DingTalk takes it")
	case err != nil:
		result(webhookDisk)
		refuse(w, "the notification cannot be kept on disk now")
	case duplicate:
		result(webhookDuplicate)
		answer(w, http.StatusOK, "OK")
	default:
		result(webhookAccepted)
		if len(s.targets[name].twins) > 0 {
			b.twins.note(name, p, b.options.Now())
		}
		b.wake(name)
		answer(w, http.StatusOK, "OK")
	}
}

// refused answers a webhook that was not taken.
func (b *Bridge) refused(w http.ResponseWriter, s *setup, target string, status int, err error) {
	what, hint := webhookMalformed, ""
	switch status {
	case http.StatusRequestEntityTooLarge:
		what, hint = webhookTooLarge, "set max_alerts in Alertmanager's webhook_configs, or raise limits.body"
	case http.StatusServiceUnavailable:
		what = webhookFull
		w.Header().Set("Retry-After", retryAfter)
	}
	b.metrics.webhooks.WithLabelValues(target, what).Inc()
	b.refuseLog.say(b.options.Now(), b.options.Logger, "a webhook was refused", "target", target, "status", status, "err", err, "hint", hint)
	answer(w, status, err.Error())
}

// read reads and decodes a body. A status other than 200 comes with an error for the
// sender.
func (b *Bridge) read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *message.Payload, int, error) {
	var all bytes.Buffer
	all.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // within the limit: it was admitted
	_, err := all.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	body := all.Bytes()
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, nil, http.StatusRequestEntityTooLarge, tooLarge(limit)
	case err != nil:
		return nil, nil, http.StatusBadRequest, errors.New("the body could not be read to its end")
	}
	p, err := message.Decode(bytes.NewReader(body), limit)
	if err != nil {
		return nil, nil, http.StatusBadRequest, fmt.Errorf("this is not a webhook of Alertmanager: %w", err)
	}
	return body, p, http.StatusOK, nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("the body is longer than %d bytes (limits.body)", limit)
}

var errCrowd = errors.New("too many webhooks at a time")

// admit lets a request bring its body into memory, or refuses it before any of it is
// read. Many small bodies may be there at a time, or a large one. The place it takes is
// given back with release.
func (b *Bridge) admit(w http.ResponseWriter, r *http.Request, limit int64) (release func(), status int, err error) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, http.StatusRequestEntityTooLarge, tooLarge(limit)
	}
	if packed := r.Header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("the body is packed (Content-Encoding: %s); send it as it is", cut(packed))
	}
	size := r.ContentLength
	if size < 0 { // chunked: as long as it may get
		size = limit
	}
	size = min(max(size, leastBody), maxBodies)
	ctx, cancel := context.WithTimeout(r.Context(), bodyWait)
	defer cancel()
	if b.bodies.Acquire(ctx, size) != nil {
		return nil, http.StatusServiceUnavailable, errCrowd
	}
	return func() { b.bodies.Release(size) }, http.StatusOK, nil
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

// cut shortens what a stranger sent for an answer or a log.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// heartbeat takes Alertmanager's notification of an alert that always fires. Its end is
// no beat: something has silenced it.
func (b *Bridge) heartbeat(w http.ResponseWriter, r *http.Request) {
	s, name := b.setup.Load(), r.PathValue("name")
	if _, ok := s.config.Deadman[name]; !ok {
		answer(w, http.StatusNotFound, fmt.Sprintf("there is no switch %q; known: %s", cut(name), strings.Join(deadmanNames(s), ", ")))
		return
	}
	release, status, err := b.admit(w, r, s.config.Limits.Body)
	if status != http.StatusOK {
		answer(w, status, err.Error())
		return
	}
	defer release()
	_, p, status, err := b.read(w, r, s.config.Limits.Body)
	if status != http.StatusOK {
		answer(w, status, err.Error())
		return
	}
	if len(p.Alerts.Firing()) == 0 {
		answer(w, http.StatusOK, "OK, but only a firing alert is a beat")
		return
	}
	if _, err := b.deadmen.beat(name); err != nil {
		refuse(w, "the beat cannot be kept on disk now")
		return
	}
	answer(w, http.StatusOK, "OK")
}
