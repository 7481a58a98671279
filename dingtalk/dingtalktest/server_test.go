package dingtalktest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `{"msgtype":"text","text":{"content":"disk is full"}}`

// call is a request with the fields that tests vary.
type call struct {
	method, kind, token, query, body string
}

// post gives a request to a server and returns the errcode, -404 for another path.
func post(t testing.TB, s *dingtalktest.Server, c call) (int, string) {
	t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.kind == "" {
		c.kind = "application/json; charset=utf-8"
	}
	if c.token == "" {
		c.token = "a"
	}
	if c.body == "" {
		c.body = good
	}
	r := httptest.NewRequest(c.method, dingtalktest.Address("http://mock", url.QueryEscape(c.token))+c.query, strings.NewReader(c.body))
	r.Header.Set("Content-Type", c.kind)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct {
		Code    *int   `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Code == nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return *answer.Code, answer.Message
}

func signed(at time.Time, secret string) string {
	ms := fmt.Sprint(at.UnixMilli())
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, ms+"\n"+secret)
	return "&timestamp=" + ms + "&sign=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func TestChecks(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	s := dingtalktest.New(dingtalktest.Options{Now: func() time.Time { return now }, Robots: []dingtalktest.Robot{
		{Token: "a"}, {Token: "signed", Secret: "S&1"}, {Token: "words", Keywords: []string{"disk", "告警"}}, {Token: "stopped"}}})
	s.Stop("stopped")
	markdown := func(fields string) string { return `{"msgtype":"markdown","markdown":{` + fields + `}}` }
	sized := func(n int) string {
		return strings.Replace(good, "full", strings.Repeat("x", n-len(good)+4), 1)
	}
	for i, c := range []struct {
		call
		code int
		text string
	}{
		{call{}, 0, "ok"},
		{call{kind: "application/json"}, 0, "ok"},
		{call{body: markdown(`"title":"t","text":"x"`)}, 0, "ok"},
		{call{body: sized(20000)}, 0, "ok"},
		{call{body: sized(20001)}, 460101, "too long"},
		{call{method: http.MethodGet}, 43002, ""},
		{call{method: http.MethodPut}, 43002, ""},
		{call{kind: "text/plain"}, 43004, ""},
		{call{kind: "application/x-www-form-urlencoded"}, 43004, ""},
		{call{kind: "application/json; charset=gbk"}, 43004, ""},
		{call{kind: ";"}, 43004, ""},
		{call{token: "nobody"}, 300005, "not exist"},
		{call{token: "stopped"}, 400102, ""},
		{call{body: "{"}, 40035, "json"},
		{call{body: "{\"msgtype\":\"text\",\"text\":{\"content\":\"\xff\"}}"}, 40035, "utf-8"},
		{call{body: `{}`}, 40035, "msgtype"},
		{call{body: `{"msgtype":"voice"}`}, 400105, ""},
		{call{body: `{"msgtype":"text","text":{"content":" "}}`}, 40035, "content"},
		{call{body: markdown(`"text":"x"`)}, 40035, "title"},
		{call{body: markdown(`"title":"t"`)}, 40035, "text"},
		{call{body: `{"msgtype":"link","link":{"title":"t","text":"x"}}`}, 40035, "messageUrl"},
		{call{body: `{"msgtype":"link","link":{"title":"t","text":"x","messageUrl":"http://h"}}`}, 0, "ok"},
		{call{body: `{"msgtype":"actionCard","actionCard":{"title":"t","text":"x"}}`}, 40035, "singleTitle"},
		{call{body: `{"msgtype":"actionCard","actionCard":{"title":"t","text":"x","btns":[{"title":"b"}]}}`}, 40035, "actionURL"},
		{call{body: `{"msgtype":"actionCard","actionCard":{"title":"t","text":"x","btns":[{"title":"b","actionURL":"http://h"}]}}`}, 0, "ok"},
		{call{body: `{"msgtype":"feedCard","feedCard":{"links":[]}}`}, 40035, "links"},
		{call{body: `{"msgtype":"feedCard","feedCard":{"links":[{"title":"t","messageURL":"u","picURL":"p"}]}}`}, 0, "ok"},
		{call{token: "words"}, 0, "ok"},
		{call{token: "words", body: markdown(`"title":"告警","text":"x"`)}, 0, "ok"},
		{call{token: "words", body: markdown(`"title":"t","text":"x"`)}, 310000, "keywords"},
		{call{token: "signed"}, 310000, "timestamp"},
		{call{token: "signed", query: signed(now, "S&1")}, 0, "ok"},
		{call{token: "signed", query: signed(now.Add(-time.Hour), "S&1")}, 0, "ok"},
		{call{token: "signed", query: signed(now.Add(-time.Hour-time.Millisecond), "S&1")}, 310000, "timestamp"},
		{call{token: "signed", query: signed(now.Add(time.Hour+time.Millisecond), "S&1")}, 310000, "timestamp"},
		{call{token: "signed", query: signed(now, "other")}, 310000, "sign"},
		{call{token: "signed", query: strings.Replace(signed(now, "S&1"), "%", "%25", -1)}, 310000, "sign"},
		{call{token: "signed", query: fmt.Sprintf("&timestamp=%d", now.UnixMilli())}, 310000, "sign"},
	} {
		if code, text := post(t, s, c.call); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%d: %.200v: %d %q, want %d %q", i, c.call, code, text, c.code, c.text)
		}
	}
	s.Remove("a")
	if code, _ := post(t, s, call{}); code != 300005 {
		t.Errorf("a removed robot answers %d", code)
	}
	s.Add(dingtalktest.Robot{Token: "stopped"})
	if code, _ := post(t, s, call{token: "stopped"}); code != 0 {
		t.Errorf("a robot that was added again answers %d", code)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/else?access_token=a", nil))
	if w.Code != http.StatusNotFound || s.Answers("")["404"] != 1 {
		t.Errorf("another path answers %d; %v", w.Code, s.Answers(""))
	}
}

// TestLimit: twenty in any minute; the twenty-first bans for ten minutes, one robot alone.
func TestLimit(t *testing.T) {
	for _, scale := range []float64{0, 60} {
		synctest.Test(t, func(t *testing.T) {
			s := dingtalktest.New(dingtalktest.Options{Scale: scale, Robots: []dingtalktest.Robot{{Token: "a"}, {Token: "b"}}})
			pass := func(d time.Duration) {
				if scale > 0 {
					d = time.Duration(float64(d) / scale)
				}
				time.Sleep(d)
			}
			expect := func(what string, want int) {
				t.Helper()
				if code, _ := post(t, s, call{}); code != want {
					t.Fatalf("%s: %d, want %d", what, code, want)
				}
			}
			for range 20 {
				expect("one of twenty", 0)
				pass(2900 * time.Millisecond)
			}
			pass(2*time.Second + time.Millisecond)
			expect("the first is a minute ago", 0)
			expect("a minute has only twenty", 130101)
			if code, _ := post(t, s, call{token: "b"}); code != 0 {
				t.Fatalf("another robot answers %d", code)
			}
			pass(10*time.Minute - time.Second)
			expect("the ban", 130101)
			pass(2 * time.Second)
			for range 20 {
				expect("after the ban", 0)
			}
			expect("again", 130101)
			s.Forgive("a")
			expect("forgiven", 0)
			if n := s.Answers("a"); n["0"] != 42 || n["130101"] != 3 || len(s.Received()) != 43 {
				t.Fatalf("answers %v, %d received", n, len(s.Received()))
			}
		})
	}
}

func TestReceived(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	s := dingtalktest.New(dingtalktest.Options{Now: func() time.Time { return now }, Robots: []dingtalktest.Robot{{Token: "a"}}})
	body := `{"msgtype":"markdown","markdown":{"title":"t","text":"x @138"},"at":{"atMobiles":["138","139"],"atUserIds":["u"],"isAtAll":true}}`
	if code, text := post(t, s, call{body: body}); code != 0 {
		t.Fatal(code, text)
	}
	got := s.Received()[0]
	if got.Type != "markdown" || got.Title != "t" || got.Text != "x @138" || len(got.Mobiles) != 2 || len(got.UserIDs) != 1 || !got.All ||
		!got.At.Equal(now) || !bytes.Equal(got.Body, []byte(body)) {
		t.Errorf("received %+v", got)
	}
	if len(got.Notified) != 1 || got.Notified[0] != "138" {
		t.Errorf("%v are notified; 139 is not in the text", got.Notified)
	}
	s.Forget()
	if len(s.Received()) != 0 || len(s.Answers("")) != 0 {
		t.Errorf("not forgotten: %v %v", s.Received(), s.Answers(""))
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: "a"}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			for _, text := range []string{"one", "two"} {
				time.Sleep(time.Second)
				post(t, s, call{body: strings.Replace(good, "full", text, 1)})
			}
		}()
		two := func(r dingtalktest.Received) bool { return strings.Contains(r.Text, "two") }
		if got, err := s.Wait(ctx, two); err != nil || !two(got) {
			t.Errorf("Wait = %+v, %v", got, err)
		}
		if got, err := s.Wait(ctx, nil); err != nil || two(got) {
			t.Errorf("Wait = %+v, %v; the first matches too", got, err)
		}
		if _, err := s.Wait(ctx, func(dingtalktest.Received) bool { return false }); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "none of 2") {
			t.Errorf("Wait = %v", err)
		}
	})
}

func TestFaults(t *testing.T) {
	s := dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: "a"}, {Token: "b"}}})
	server := httptest.NewServer(s)
	defer server.Close()
	send := func(token string) string {
		t.Helper()
		response, err := server.Client().Post(dingtalktest.Address(server.URL, token), "application/json", strings.NewReader(good))
		if err != nil {
			return "error"
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s %s", response.StatusCode, response.Header.Get("X-T"), strings.TrimSpace(string(body)))
	}
	const ok = `200  {"errcode":0,"errmsg":"ok"}`
	expect := func(token, want string) {
		t.Helper()
		if got := send(token); got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
	}
	s.Next("a", dingtalktest.Fault{Body: "{}"}, dingtalktest.Fault{Status: 500, Body: "no", Header: http.Header{"X-T": {"1"}}}, dingtalktest.Fault{Drop: true})
	s.Next("a", dingtalktest.Fault{Body: "{}", Accept: true}, dingtalktest.Fault{Delay: time.Millisecond})
	expect("b", ok)
	for _, want := range []string{"200  {}", "500 1 no", "error", "200  {}", ok, ok} {
		expect("a", want)
	}
	if n := s.Answers("a"); n["fault"] != 4 || n["0"] != 2 || len(s.Received()) != 4 {
		t.Errorf("answers %v, %d received", n, len(s.Received()))
	}
	s.Always("", &dingtalktest.Fault{Body: "all"})
	s.Always("b", &dingtalktest.Fault{Body: "b"})
	s.Next("b", dingtalktest.Fault{Body: "next"})
	expect("a", "200  all")
	expect("b", "200  next")
	expect("b", "200  b")
	s.Always("b", nil)
	s.Always("", nil)
	expect("b", ok)
}

// TestDateHeader: the answer tells the server's time, which may be off.
func TestDateHeader(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	s := dingtalktest.New(dingtalktest.Options{Now: func() time.Time { return now }, Robots: []dingtalktest.Robot{{Token: "a", Secret: "s"}}})
	s.Skew(2 * time.Hour)
	if code, _ := post(t, s, call{query: signed(now, "s")}); code != 310000 {
		t.Errorf("a time that is two hours off: %d", code)
	}
	r := httptest.NewRequest(http.MethodPost, dingtalktest.Address("http://mock", "a"), strings.NewReader(good))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if at, err := http.ParseTime(w.Header().Get("Date")); err != nil || !at.Equal(now.Add(2*time.Hour)) {
		t.Errorf("Date is %v, %v", at, err)
	}
}
