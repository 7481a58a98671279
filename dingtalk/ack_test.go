package dingtalk

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/config"
	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// alertmanager notes the silences it is asked for.
type alertmanager struct {
	mu     sync.Mutex
	asked  []map[string]any
	status int
	says   string
}

func (a *alertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var wish map[string]any
	if r.Method != http.MethodPost || r.URL.Path != "/api/v2/silences" || json.Unmarshal(body, &wish) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
		io.WriteString(w, a.says)
		return
	}
	a.asked = append(a.asked, wish)
	io.WriteString(w, `{"silenceID":"id-1"}`)
}

// ackWorld is a bridge that knows an Alertmanager, and the path of a link from a message.
func ackWorld(t *testing.T) (*world, *alertmanager, string) {
	w := newWorld(t, oneRobot+`links: {bridge: "http://bridge.example:8060", alertmanager: "http://am.example"}
silence: {alertmanager: "http://alertmanager:9093", duration: 2h, link_ttl: 24h}
`, "a")
	am := new(alertmanager)
	w.tune = func(o *Options) {
		o.Transport = direct{http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Host == "alertmanager:9093" {
				am.ServeHTTP(rw, r)
				return
			}
			w.robots.ServeHTTP(rw, r)
		})}
	}
	w.begin()
	a := alert("Disk <b>Full</b>", "warning")
	a["labels"].(map[string]string)["path"] = `/a"b&c`
	w.post("ops", payload("g", a))
	w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
	found := regexp.MustCompile(`http://bridge\.example:8060(/ack\?[^)\s]+)`).FindStringSubmatch(w.robots.Received()[0].Text)
	if found == nil {
		t.Fatalf("no link in:\n%s", w.robots.Received()[0].Text)
	}
	return w, am, found[1]
}

func (w *world) submit(link string, extra ...string) (int, string) {
	u, err := url.Parse(link)
	if err != nil {
		w.Fatal(err)
	}
	form := u.Query()
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	rec := w.do(http.MethodPost, "/ack", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	return rec.Code, rec.Body.String()
}

func TestAcknowledge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, am, link := ackWorld(t)
		defer w.end()
		page := w.do(http.MethodGet, link, nil)
		body := page.Body.String()
		if page.Code != http.StatusOK || !strings.Contains(body, "认领并静默") || !strings.Contains(body, "Disk &lt;b&gt;Full") {
			t.Errorf("the page: %d\n%s", page.Code, body)
		}
		if english := w.do(http.MethodGet, link, nil, "Accept-Language", "en-GB,en").Body.String(); !strings.Contains(english, "Acknowledge and silence") {
			t.Error("no English page")
		}
		if page.Header().Get("Referrer-Policy") != "no-referrer" || page.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", page.Header())
		}
		if len(am.asked) != 0 {
			t.Fatal("opening the page silenced the alert")
		}
		if code, text := w.submit(link, "name", " 张三 "); code != http.StatusOK || !strings.Contains(text, "id-1") {
			t.Fatalf("the form: %d\n%s", code, text)
		}
		got := am.asked[0]
		matchers := string(encode(t, got["matchers"]))
		for _, want := range []string{`"isEqual":true,"isRegex":false,"name":"alertname","value":"Disk \u003cb\u003eFull\u003c/b\u003e"`, `"name":"path","value":"/a\"b\u0026c"`, `"name":"severity"`} {
			if !strings.Contains(matchers, want) {
				t.Errorf("no %s in %s", want, matchers)
			}
		}
		start, err := time.Parse(time.RFC3339, got["startsAt"].(string))
		end, err2 := time.Parse(time.RFC3339, got["endsAt"].(string))
		if err != nil || err2 != nil || end.Sub(start) != 2*time.Hour || got["createdBy"] != "张三" || got["comment"] == "" {
			t.Errorf("the silence is %v", got)
		}
	})
}

// TestAcknowledgeTwice: a button that is pressed twice makes one silence; pressed again
// later it makes another one. Looking at the head of a page does nothing.
func TestAcknowledgeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, am, link := ackWorld(t)
		defer w.end()
		if rec := w.do(http.MethodHead, link, nil); rec.Code != http.StatusOK || len(am.asked) != 0 {
			t.Errorf("HEAD: %d, %d silences", rec.Code, len(am.asked))
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if code, text := w.submit(link); code != http.StatusOK || !strings.Contains(text, "id-1") {
					t.Errorf("%d\n%s", code, text)
				}
			})
		}
		both.Wait()
		if len(am.asked) != 1 {
			t.Errorf("%d silences of two presses", len(am.asked))
		}
		time.Sleep(3 * time.Hour)
		if code, _ := w.submit(link); code != http.StatusOK || len(am.asked) != 2 {
			t.Errorf("later: %d, %d silences", code, len(am.asked))
		}
	})
}

// TestAcknowledgeSaysWhy: what Alertmanager has against a silence is in the log.
func TestAcknowledgeSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, am, link := ackWorld(t)
		defer w.end()
		am.status, am.says = http.StatusBadRequest, `"start time must be before end time"`
		if code, text := w.submit(link); code != http.StatusBadGateway || strings.Contains(text, "start time") || !strings.Contains(w.log.String(), "start time must be before end time") {
			t.Errorf("%d\n%s\n%s", code, text, w.log)
		}
	})
}

func TestAcknowledgeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, am, link := ackWorld(t)
		defer w.end()
		u, _ := url.Parse(link)
		d := u.Query().Get(paramData)
		for name, extra := range map[string][]string{
			"another signature": {paramSign, "AAAAAAAAAAAAAAAAAAAAAA"}, "none": {paramSign, ""},
			"other labels": {paramData, d[:len(d)-2] + "AA"}, "no labels": {paramData, ""},
		} {
			if code, _ := w.submit(link, extra...); code != http.StatusForbidden {
				t.Errorf("%s: answered %d", name, code)
			}
		}
		am.status = http.StatusInternalServerError
		if code, text := w.submit(link); code != http.StatusBadGateway || strings.Contains(text, "alertmanager:9093") {
			t.Errorf("a failing Alertmanager: %d\n%s", code, text)
		}
		am.status = 0
		w.end()
		w.begin() // links outlive a restart
		if code, _ := w.submit(link); code != http.StatusOK {
			t.Errorf("after a restart: %d", code)
		}
		time.Sleep(25 * time.Hour)
		if code, text := w.submit(link); code != http.StatusGone || len(am.asked) != 1 {
			t.Errorf("after a day: %d, %d silences\n%s", code, len(am.asked), text)
		}
	})
}

// TestUnsigned: no form of a link that a template may write can be used.
func TestUnsigned(t *testing.T) {
	a := newAcks(&config.Config{Links: message.Links{Bridge: "http://b.example"}}, make([]byte, 32), nil, time.Now)
	link := a.links(message.Alert{Status: message.StatusFiring, Labels: message.KV{"alertname": "Ä_b", "path": "/"}})[0].URL
	at := strings.LastIndexByte(link, '=') + 1
	signature := link[at:]
	for name, text := range map[string]string{
		"markdown": "a [x](" + link + ") b [y](" + link + ")", "HTML": html.EscapeString(link), "JSON": string(encode(t, link)),
		"in an address": "dingtalk://x?url=" + url.QueryEscape(link), "twice": url.QueryEscape(url.QueryEscape(link)),
	} {
		got := unsigned(text)
		if !strings.Contains(text, signature) || strings.ReplaceAll(text, signature, "…") != got {
			t.Errorf("%s: %s", name, got)
		}
	}
	if text := "s=1 [x](http://am.example/?d=1&s=2)"; unsigned(text) != text {
		t.Errorf("changed: %s", unsigned(text))
	}
}

// TestPreviewLogsNoSignature: what a target without a robot would send is in the log
// without the power to silence; the page has it.
func TestPreviewLogsNoSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets: {ops: {url: ''}}\ndigest: {after: 1}\nlinks: {bridge: 'http://bridge.example'}\nsilence: {alertmanager: 'http://am.example'}\n")
		w.begin()
		defer w.end()
		w.post("ops", payload("g", alert("OnlyShown", "warning"), alert("ShownToo", "warning")))
		w.waitFor("the empty queue", time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		page := html.UnescapeString(w.do(http.MethodGet, "/ui", nil).Body.String())
		links := regexp.MustCompile(`http://bridge\.example(/ack\?d=[\w-]+&s=)([\w-]+)`).FindAllStringSubmatch(page, -1)
		if len(links) < 2 {
			t.Fatalf("%d links on the page", len(links))
		}
		for _, l := range links {
			if rec := w.do(http.MethodGet, l[1]+l[2], nil); rec.Code != http.StatusOK {
				t.Errorf("a link of the page: %d", rec.Code)
			}
			if log := w.log.String(); strings.Contains(log, l[2]) || !strings.Contains(log, l[1]+"…") {
				t.Errorf("the log has the signature, or not the link:\n%s", log)
			}
		}
	})
}
