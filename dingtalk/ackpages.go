package dingtalk

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// Bounds of the acknowledge form.
const (
	maxAckForm = 16 << 10 // bytes
	maxName    = 64       // bytes of the name that a reader gives
)

// ackPage is what the acknowledge pages show.
type ackPage struct {
	Labels       message.Pairs
	Duration     string
	D, S         string // the link's parameters, signed
	Until        time.Time
	ID, By, Back string
	Problem      string
}

// confirm shows what a link would do. It does nothing: chat programs open links, too.
func (b *Bridge) confirm(w http.ResponseWriter, r *http.Request) {
	a, q, ok := b.opened(w, r, r.URL.Query())
	if !ok {
		return
	}
	b.page(w, r, http.StatusOK, "ack.html", "确认静默告警", "Silence this alert?", ackPage{
		Labels: message.KV(q.Labels).SortedPairs(), Duration: span(a.silence.Duration), D: r.URL.Query().Get(paramData), S: r.URL.Query().Get(paramSign)})
}

// acknowledge silences. The form carries the signature of the link: a page elsewhere
// cannot make a browser send one that it does not have.
func (b *Bridge) acknowledge(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAckForm)
	if err := r.ParseForm(); err != nil {
		answer(w, http.StatusBadRequest, "the form cannot be read")
		return
	}
	a, q, ok := b.opened(w, r, r.PostForm)
	if !ok {
		return
	}
	by := strings.Join(strings.Fields(r.PostForm.Get("name")), " ")
	if by == "" || len(by) > maxName {
		by = "dingtalk"
	}
	id, err := b.silences.once(r.PostForm.Get(paramData), b.options.Now(), func() (string, error) { return a.silenced(r.Context(), q, by) })
	if err != nil {
		b.options.Logger.Error("an acknowledge link could not silence", "alert", q.Labels["alertname"], "err", err)
		b.page(w, r, http.StatusBadGateway, "problem.html", "未能静默", "Not silenced", ackPage{Problem: "am"})
		return
	}
	b.options.Logger.Info("silenced by an acknowledge link", "alert", q.Labels["alertname"], "by", by, "silence", id, "for", a.silence.Duration)
	back := ""
	if base := b.setup.Load().config.Links.Alertmanager; base != "" {
		back = base + "/#/silences/" + url.PathEscape(id)
	}
	b.page(w, r, http.StatusOK, "done.html", "已静默", "Silenced", ackPage{
		Labels: message.KV(q.Labels).SortedPairs(), Until: b.options.Now().Add(a.silence.Duration), ID: id, By: by, Back: back})
}

// silences remembers which links have silenced a moment ago.
type silences struct {
	mu   sync.Mutex
	made map[string]silence // by the link's data
}

type silence struct {
	id string
	at time.Time
}

// Bounds of what is remembered of links.
const (
	pressTime  = time.Minute // a button that is pressed again within makes no second silence
	maxPresses = 100
)

// once makes a silence, one at a time, or returns the id of the one that the link has
// made a moment ago.
func (s *silences) once(link string, now time.Time, silenceIt func() (string, error)) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.made[link]; ok && now.Sub(was.at) < pressTime {
		return was.id, nil
	}
	id, err := silenceIt()
	if err != nil {
		return "", err
	}
	if s.made == nil || len(s.made) >= maxPresses {
		s.made = map[string]silence{}
	}
	s.made[link] = silence{id, now}
	return id, nil
}

// opened checks a link, and answers if it is not a good one.
func (b *Bridge) opened(w http.ResponseWriter, r *http.Request, v url.Values) (*acks, request, bool) {
	a := b.setup.Load().acks
	if a == nil {
		b.page(w, r, http.StatusNotFound, "problem.html", "未启用", "Turned off", ackPage{Problem: "off"})
		return nil, request{}, false
	}
	q, err := a.open(v)
	switch {
	case errors.Is(err, errExpired):
		b.page(w, r, http.StatusGone, "problem.html", "链接已过期", "The link has expired", ackPage{Problem: "expired"})
	case err != nil:
		b.page(w, r, http.StatusForbidden, "problem.html", "链接无效", "The link is not valid", ackPage{Problem: "forged"})
	}
	return a, q, err == nil
}
