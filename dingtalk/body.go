package dingtalk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// refusal is why a webhook is not taken.
type refusal struct {
	status int
	result string // in the metrics
	text   string // for the sender
	hint   string // for the log: what to do about it, if anything
}

func malformed(status int, text string) *refusal {
	return &refusal{status: status, result: webhookMalformed, text: text}
}

func tooLarge(limit int64) *refusal {
	return &refusal{http.StatusRequestEntityTooLarge, webhookTooLarge, fmt.Sprintf("the body is longer than %d bytes (limits.body)", limit),
		"set max_alerts in Alertmanager's webhook_configs, or raise limits.body"}
}

func crowded() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, result: webhookFull, text: "too many webhooks at a time"}
}

func queueFull() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, result: webhookFull, text: "the queue is full; it is sent as fast as DingTalk takes it"}
}

// refused answers a webhook that was not taken, and logs it; to says what it was for.
func (b *Bridge) refused(w http.ResponseWriter, no *refusal, to ...any) {
	about := append(to, "status", no.status, "why", no.text)
	if no.hint != "" {
		about = append(about, "hint", no.hint)
	}
	b.refuseLogs[no.result].Warn(b.options.Logger, "a webhook was refused", about...)
	if no.status == http.StatusServiceUnavailable {
		refuse(w, no.text)
		return
	}
	answer(w, no.status, no.text)
}

// take reads and decodes a webhook of at most limit bytes. The place that its body has in
// memory is given back with release, which is nil if it was refused.
func (b *Bridge) take(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, p *message.Payload, release func(), no *refusal) {
	if release, no = b.admit(w, r, limit); no != nil {
		return nil, nil, nil, no
	}
	if body, p, no = read(w, r, limit); no != nil {
		release()
		return nil, nil, nil, no
	}
	return body, p, release, nil
}

// admit lets a request bring its body into memory, or refuses it before any of it is
// read. Many small bodies may be there at a time, or a large one.
func (b *Bridge) admit(w http.ResponseWriter, r *http.Request, limit int64) (release func(), no *refusal) {
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(limit)
	}
	if packed := r.Header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		return nil, malformed(http.StatusUnsupportedMediaType, fmt.Sprintf("the body is packed (Content-Encoding: %s); send it as it is", cut(packed)))
	}
	size := r.ContentLength
	if size < 0 { // chunked: as long as it may get
		size = limit
	}
	size = min(max(size, leastBody), maxBodies)
	ctx, cancel := context.WithTimeout(r.Context(), bodyWait)
	defer cancel()
	if b.bodies.Acquire(ctx, size) != nil {
		return nil, crowded()
	}
	return func() { b.bodies.Release(size) }, nil
}

// read reads and decodes the body of a request that was admitted.
func read(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *message.Payload, *refusal) {
	var all bytes.Buffer
	all.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // within the limit: it was admitted
	_, err := all.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, nil, tooLarge(limit)
	case err != nil:
		return nil, nil, malformed(http.StatusBadRequest, "the body could not be read to its end")
	}
	p, err := message.Decode(all.Bytes())
	if err != nil {
		return nil, nil, malformed(http.StatusBadRequest, err.Error())
	}
	return all.Bytes(), p, nil
}

// cut shortens what a stranger sent for an answer or a log.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
