package dingtalktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verdict is an errcode with its words.
type verdict struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// ServeHTTP implements http.Handler. A [Fault] with Drop panics with http.ErrAbortHandler,
// which an http.Server understands.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != path {
		s.count("", "404")
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client is gone
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		query = url.Values{}
	}
	token := query.Get("access_token")
	s.mu.Lock()
	fault, scripted := s.fault(token)
	s.mu.Unlock()
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	scripted = scripted && (fault.Status != 0 || fault.Body != "" || fault.Drop)
	var v verdict
	if !scripted || fault.Accept {
		v = s.judge(r, query, body)
	}
	if scripted {
		s.count(token, "fault")
		misbehave(w, fault)
		return
	}
	s.count(token, strconv.Itoa(v.Code))
	s.mu.Lock()
	now := s.now().Add(s.skew)
	s.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func misbehave(w http.ResponseWriter, f Fault) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if f.Status != 0 {
		w.WriteHeader(f.Status)
	}
	_, _ = io.WriteString(w, f.Body) // the client may be gone
}

func (s *Server) count(token, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers[token] == nil {
		s.answers[token] = map[string]int{}
	}
	s.answers[token][code]++
}

// judge takes a message or says why not.
func (s *Server) judge(r *http.Request, query url.Values, body []byte) verdict {
	if r.Method != http.MethodPost {
		return verdict{43002, "require http POST"}
	}
	if kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" ||
		parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		return verdict{43004, "invalid http header content-type"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	robot := s.robots[query.Get("access_token")]
	switch {
	case robot == nil:
		return verdict{300005, "token is not exist"}
	case robot.stopped:
		return verdict{400102, "robot has been stopped"}
	case len(body) > mostBody:
		return verdict{460101, "message too long, exceed 20000 bytes"}
	}
	message, bad := parse(body)
	if bad.Code != 0 {
		return bad
	}
	if bad := robot.secure(query, message, s.now().Add(s.skew)); bad.Code != 0 {
		return bad
	}
	if !robot.admit(s.scaled()) {
		return verdict{130101, "send too fast, exceed 20 times per minute"}
	}
	message.Token, message.At = robot.Token, s.now()
	if s.received = append(s.received, message); len(s.received) > mostKept {
		s.received = slices.Delete(s.received, 0, 1)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return verdict{0, "ok"}
}

// admit counts a message against the limit.
func (r *robot) admit(now time.Time) bool {
	if now.Before(r.banned) {
		return false
	}
	for len(r.sent) > 0 && now.Sub(r.sent[0]) >= time.Minute {
		r.sent = r.sent[1:]
	}
	if len(r.sent) >= mostPerMinute {
		r.banned = now.Add(banFor)
		return false
	}
	r.sent = append(r.sent, now)
	return true
}

// secure checks the signature and the keywords.
func (r *robot) secure(query url.Values, m Received, now time.Time) verdict {
	if r.Secret != "" {
		ms, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
		if err != nil || now.Sub(time.UnixMilli(ms)).Abs() > mostSkew {
			return verdict{310000, "invalid timestamp, more at [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"}
		}
		mac := hmac.New(sha256.New, []byte(r.Secret))
		fmt.Fprintf(mac, "%s\n%s", query.Get("timestamp"), r.Secret)
		if sign, err := base64.StdEncoding.DecodeString(query.Get("sign")); err != nil || !hmac.Equal(sign, mac.Sum(nil)) {
			return verdict{310000, "sign not match, more at [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"}
		}
	}
	found := len(r.Keywords) == 0
	for _, word := range r.Keywords {
		found = found || strings.Contains(m.Title, word) || strings.Contains(m.Text, word)
	}
	if !found {
		return verdict{310000, "keywords not in content, more at [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]"}
	}
	return verdict{}
}
