package robot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token  = "t0ken0123456789"
	secret = "SECabcdef+/=&secret"
	good   = `{"msgtype":"markdown","markdown":{"title":"a","text":"b"},"at":{"isAtAll":false}}`
)

// start runs the mock and a robot that talks to it.
func start(t *testing.T, o dingtalktest.Options, r robot.Options) (*dingtalktest.Server, *robot.Robot) {
	t.Helper()
	if o.Robots == nil {
		o.Robots = []dingtalktest.Robot{{Token: token, Secret: r.Secret}}
	}
	mock := dingtalktest.New(o)
	server := httptest.NewServer(mock)
	t.Cleanup(server.Close)
	r.Name = "ops-1"
	if r.URL == "" {
		r.URL = dingtalktest.Address(server.URL, token)
	}
	if r.HTTP == nil {
		r.HTTP = server.Client()
	}
	made, err := robot.New(r)
	if err != nil {
		t.Fatal(err)
	}
	return mock, made
}

func TestSign(t *testing.T) {
	for _, c := range []struct {
		ms           int64
		secret, want string
	}{
		{1577262236757, "this is secret", "hmPWwU%2B7lVdm3ZZz0r9tSfx0L4Q26jWOZr9%2BGs6EZQM%3D"},
		{1700000000000, "SEC000000000000000000000", "1zJ%2Fw34EOSVAYr7cu7Vo8LnebmK2%2FGrCgegtr8mQrqM%3D"},
	} {
		if got := url.QueryEscape(robot.Sign(c.ms, c.secret)); got != c.want {
			t.Errorf("Sign(%d, %q) = %s, want %s", c.ms, c.secret, got, c.want)
		}
	}
}

func TestSendSigned(t *testing.T) {
	mock, r := start(t, dingtalktest.Options{}, robot.Options{Secret: secret})
	if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Sent || got.Code != "0" || got.Status != 200 {
		t.Fatalf("Send = %+v", got)
	}
	if list := mock.Received(); len(list) != 1 || list[0].Title != "a" || list[0].Token != token {
		t.Fatalf("received %+v", list)
	}
}

// TestSignsEachAttempt: a signature is an hour old at most, however long a message waited.
func TestSignsEachAttempt(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	mock, r := start(t, dingtalktest.Options{Now: clock}, robot.Options{Secret: secret, Now: clock})
	for range 3 {
		if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Sent {
			t.Fatalf("Send = %+v", got)
		}
		now = now.Add(2 * time.Hour)
	}
	if n := mock.Answers(token)["0"]; n != 3 {
		t.Errorf("%d were accepted", n)
	}
}

// TestClockOff: a machine whose clock is wrong learns DingTalk's time from its refusal.
func TestClockOff(t *testing.T) {
	mock, r := start(t, dingtalktest.Options{}, robot.Options{Secret: secret})
	mock.Skew(-3 * time.Hour)
	for range 2 {
		got := r.Send(t.Context(), []byte(good))
		if got.Kind != robot.Sent || got.Skew < 179*time.Minute || got.Skew > 181*time.Minute {
			t.Fatalf("Send = %+v, skew %v", got, got.Skew)
		}
	}
	if answers := mock.Answers(token); answers["310000"] != 1 || answers["0"] != 2 {
		t.Errorf("the answers were %v; only the first attempt may be refused", answers)
	}
	mock.Skew(0) // the clock was put right
	if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Sent || got.Skew.Abs() > time.Minute {
		t.Errorf("Send = %+v, skew %v", got, got.Skew)
	}
}

// TestClockNotOff: a refused time is not retried when the clocks agree.
func TestClockNotOff(t *testing.T) {
	mock, r := start(t, dingtalktest.Options{}, robot.Options{Secret: secret})
	mock.Always(token, &dingtalktest.Fault{Body: `{"errcode":310000,"errmsg":"invalid timestamp"}`})
	if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Misconfigured || !strings.Contains(got.Text, "clock") {
		t.Errorf("Send = %+v", got)
	}
	if n := mock.Answers(token)["fault"]; n != 1 {
		t.Errorf("%d attempts were made", n)
	}
}

func TestAnswers(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	mock, r := start(t, dingtalktest.Options{}, robot.Options{Now: func() time.Time { return now }})
	errcode := func(code int, text string) dingtalktest.Fault {
		return dingtalktest.Fault{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":%q}`, code, text)}
	}
	for _, c := range []struct {
		fault dingtalktest.Fault
		kind  robot.Kind
		code  string
		text  string
	}{
		{errcode(0, "ok"), robot.Sent, "0", "ok"},
		{errcode(-1, "系统繁忙"), robot.Busy, "-1", "系统繁忙"},
		{errcode(130101, "send too fast, exceed 20 times per minute"), robot.RateLimited, "130101", "too fast"},
		{errcode(410100, "发送速度太快而限流"), robot.RateLimited, "410100", ""},
		{errcode(90030, "quota"), robot.RateLimited, "90030", ""},
		{errcode(302033, "send too fast"), robot.RateLimited, "other", "302033"},
		{errcode(310000, "keywords not in content"), robot.Misconfigured, "310000", "robot's keywords"},
		{errcode(310000, "description:关键词不匹配"), robot.Misconfigured, "310000", "robot's keywords"},
		{errcode(310000, "sign not match"), robot.Misconfigured, "310000", "secret is wrong"},
		{errcode(310000, "invalid timestamp"), robot.Misconfigured, "310000", "clock"},
		{errcode(310000, "ip 1.2.3.4 not in whitelist"), robot.Misconfigured, "310000", "robot's list"},
		{errcode(310000, "else"), robot.Misconfigured, "310000", "security settings"},
		{errcode(300001, "token is not exist"), robot.Disabled, "300001", ""},
		{errcode(300005, "token is not exist"), robot.Disabled, "300005", ""},
		{errcode(400101, ""), robot.Disabled, "400101", ""},
		{errcode(400102, ""), robot.Disabled, "400102", ""},
		{errcode(400106, ""), robot.Disabled, "400106", ""},
		{errcode(400013, ""), robot.Disabled, "400013", ""},
		{errcode(40035, ""), robot.Malformed, "40035", ""},
		{errcode(43002, ""), robot.Malformed, "43002", ""},
		{errcode(43004, ""), robot.Malformed, "43004", ""},
		{errcode(400105, ""), robot.Malformed, "400105", ""},
		{errcode(430101, ""), robot.Unsafe, "430101", ""},
		{errcode(430102, ""), robot.Unsafe, "430102", ""},
		{errcode(430103, ""), robot.Unsafe, "430103", ""},
		{errcode(430104, ""), robot.Unsafe, "430104", ""},
		{errcode(460101, ""), robot.TooLong, "460101", ""},
		{errcode(101002, ""), robot.TooLong, "101002", ""},
		{errcode(88, "sub_code x"), robot.Misconfigured, "88", ""},
		{errcode(555555, "new"), robot.Busy, "other", "555555"},
		{dingtalktest.Fault{Body: `{}`}, robot.RateLimited, "missing", ""},
		{dingtalktest.Fault{Body: `null`}, robot.RateLimited, "missing", ""},
		{dingtalktest.Fault{Body: `{"errcode":"0"}`}, robot.RateLimited, "missing", ""},
		{dingtalktest.Fault{Body: `{"errcode":null,"errmsg":"ok"}`}, robot.RateLimited, "missing", ""},
		{dingtalktest.Fault{Body: `{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"1"}`}, robot.RateLimited, "missing", "punish"},
		{dingtalktest.Fault{Body: `{"status":1111,"punish":"deny","errcode":130101,"errmsg":"x"}`}, robot.RateLimited, "130101", "gateway"},
		{dingtalktest.Fault{Body: `{"status":1111,"punish":"deny","errcode":0}`}, robot.RateLimited, "0", "gateway"},
		{dingtalktest.Fault{Body: "<html>\n<title>x5</title>"}, robot.RateLimited, "missing", "<title>"},
		{dingtalktest.Fault{Status: 200}, robot.RateLimited, "missing", ""},
		{dingtalktest.Fault{Status: 500, Body: "oops"}, robot.Busy, "http", "HTTP 500"},
		{dingtalktest.Fault{Status: 502, Body: "<html>"}, robot.Busy, "http", "HTTP 502"},
		{dingtalktest.Fault{Status: 500, Body: `{"errcode":0,"errmsg":"ok"}`}, robot.Busy, "http", "HTTP 500"},
		{dingtalktest.Fault{Status: 429}, robot.RateLimited, "http", "HTTP 429"},
		{dingtalktest.Fault{Status: 413}, robot.TooLong, "http", "HTTP 413"},
		{dingtalktest.Fault{Status: 404, Body: "no"}, robot.Misconfigured, "http", "HTTP 404"},
		{dingtalktest.Fault{Drop: true}, robot.Network, "network", ""},
	} {
		mock.Next(token, c.fault)
		got := r.Send(t.Context(), []byte(good))
		if got.Kind != c.kind || got.Code != c.code || !strings.Contains(got.Text, c.text) {
			t.Errorf("%+v: %v %s %q, want %v %s %q", c.fault, got.Kind, got.Code, got.Text, c.kind, c.code, c.text)
		}
		if !slices.Contains(robot.Codes(), got.Code) {
			t.Errorf("%s is not one of Codes", got.Code)
		}
		wait := time.Duration(0)
		if !got.Until.IsZero() {
			wait = got.Until.Sub(now)
		}
		if want := map[bool]time.Duration{true: 10 * time.Minute}[c.kind == robot.RateLimited]; wait != want && (c.code != "90030" || wait != time.Hour) {
			t.Errorf("%+v: is to wait %v", c.fault, wait)
		}
	}
}

func TestTimeout(t *testing.T) {
	mock, r := start(t, dingtalktest.Options{}, robot.Options{HTTP: &http.Client{Timeout: 30 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}})
	mock.Next(token, dingtalktest.Fault{Delay: time.Minute})
	if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Network || got.Text != "no answer in time" {
		t.Errorf("Send = %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.Send(ctx, []byte(good)); got.Kind != robot.Network || !strings.Contains(got.Text, "stopping") {
		t.Errorf("Send = %+v", got)
	}
}

// TestAnswerIsBounded: a proxy that sends a film is not watched to its end.
func TestAnswerIsBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, r := start(t, dingtalktest.Options{}, robot.Options{URL: dingtalktest.Address(server.URL, token), HTTP: server.Client()})
	got := r.Send(t.Context(), []byte(good))
	if got.Kind != robot.RateLimited || len(got.Text) > 300 {
		t.Errorf("Send = %v, %d bytes of text", got.Kind, len(got.Text))
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer thief.Close()
	mock, r := start(t, dingtalktest.Options{}, robot.Options{})
	mock.Next(token, dingtalktest.Fault{Status: 307, Header: http.Header{"Location": {thief.URL + "/?access_token=" + token}}})
	if got := r.Send(t.Context(), []byte(good)); got.Kind != robot.Misconfigured || !strings.Contains(got.Text, "redirect") || followed {
		t.Errorf("Send = %+v, followed: %v", got, followed)
	}
}

// TestSecretsStaySecret: neither a broken network nor a chatty server nor a careless
// print shows the token or the secret.
func TestSecretsStaySecret(t *testing.T) {
	check := func(what, text string) {
		t.Helper()
		for _, s := range []string{token, secret, url.QueryEscape(secret), "access_token="} {
			if strings.Contains(text, s) {
				t.Errorf("%s shows %q: %s", what, s, text)
			}
		}
	}
	mock, r := start(t, dingtalktest.Options{}, robot.Options{Secret: secret})
	mock.Next(token, dingtalktest.Fault{Body: `{"errcode":300001,"errmsg":"token ` + token + ` and ` + secret + `"}`}, dingtalktest.Fault{Drop: true})
	check("an answer", r.Send(t.Context(), []byte(good)).Text)
	check("a dropped connection", r.Send(t.Context(), []byte(good)).Text)
	for _, address := range []string{"http://127.0.0.1:1/robot/send", "http://no-such-host.invalid/robot/send"} {
		away, err := robot.New(robot.Options{Name: "x", URL: address + "?access_token=" + token, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		got := away.Send(t.Context(), []byte(good))
		if got.Kind != robot.Network || got.Text == "" {
			t.Errorf("Send = %+v", got)
		}
		check(address, got.Text)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "robot", r)
	encoded, err := json.Marshal(struct{ Robot any }{r})
	if err != nil {
		t.Fatal(err)
	}
	check("printing", fmt.Sprintf("%v %+v %s %#v", r, r, r, r)+log.String()+string(encoded)+r.Key())
	for _, bad := range []string{"http://h/%zz?access_token=" + token, "://" + token, "ftp://h/?access_token=" + token, "http:///?access_token=" + token, "https://h/?access_token=" + token + "&%zz", "https://h/?token=" + token, "http://h\x7f/?access_token=" + token} {
		made, err := robot.New(robot.Options{Name: "ops-1", URL: bad})
		if err == nil {
			t.Errorf("%q was taken: %v", bad, made)
			continue
		}
		check("the error for a bad URL", err.Error())
	}
}

func TestKey(t *testing.T) {
	key := func(address string) string {
		r, err := robot.New(robot.Options{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		return r.Key()
	}
	if a, b := key("https://h/robot/send?access_token=1&sign=x&timestamp=2"), key(" https://h/robot/send?access_token=1 "); a != b {
		t.Errorf("one robot has the keys %s and %s", a, b)
	}
	if a, b := key("https://h/robot/send?access_token=1"), key("https://h/robot/send?access_token=2"); a == b {
		t.Errorf("two robots have the key %s", a)
	}
}
