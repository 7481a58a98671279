package console_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/alloc/console"
	"github.com/fanfare-push/fanfare/protocol"
)

func get(t *testing.T, method, target, etag string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestPageIsServedUnderBothNames(t *testing.T) {
	for _, target := range []string{"/html", "/index.html"} {
		answer := get(t, "GET", target, "")
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %s, %s", target, answer.Status, answer.Header.Get("Content-Type"))
		}
	}
}

func TestHeadersOfEveryAsset(t *testing.T) {
	types := map[string]string{"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
	for _, name := range assetNames(t) {
		target, want := "/console/"+name, types[name[strings.LastIndex(name, ".")+1:]]
		if name == "index.html" {
			target, want = "/html", "text/html; charset=utf-8"
		}
		answer := get(t, "GET", target, "")
		h := answer.Header
		policy := h.Get("Content-Security-Policy")
		if answer.StatusCode != http.StatusOK || h.Get("Content-Type") != want {
			t.Errorf("%s: %s as %q, want %q", target, answer.Status, h.Get("Content-Type"), want)
		}
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "connect-src 'self' ws: wss:;") {
			t.Errorf("%s: policy %q", target, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" || h.Get("ETag") == "" {
			t.Errorf("%s: headers %v", target, h)
		}
	}
}

func TestUnchangedAssetIsNotSentAgain(t *testing.T) {
	etag := get(t, "GET", "/html", "").Header.Get("ETag")
	for _, header := range []string{etag, `"other", W/` + etag, "*"} {
		if answer := get(t, "GET", "/html", header); answer.StatusCode != http.StatusNotModified || answer.ContentLength > 0 {
			t.Errorf("If-None-Match %s: %s", header, answer.Status)
		}
	}
	if answer := get(t, "GET", "/html", `"other"`); answer.StatusCode != http.StatusOK {
		t.Errorf("another tag: %s", answer.Status)
	}
}

func TestWhatIsNotAnAsset(t *testing.T) {
	for _, target := range []string{"/", "/htmlx", "/console", "/console/", "/console/none.js", "/console/index.html", "/console/../console.go", "/assets/app.js"} {
		if answer := get(t, "GET", target, ""); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", target, answer.Status)
		}
	}
	answer := get(t, "POST", "/html", "")
	if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, %v", answer.Status, answer.Header)
	}
	head := get(t, "HEAD", "/html", "")
	if head.StatusCode != http.StatusOK || head.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %s, %v", head.Status, head.Header)
	}
}

// assetNames lists the files of the page.
func assetNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(os.DirFS("assets"), "*")
	if err != nil || len(names) < 10 {
		t.Fatalf("assets: %v, %v", names, err)
	}
	return names
}

func readAsset(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("assets/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNothingComesFromElsewhere(t *testing.T) {
	address := regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s"')]*`)
	for _, name := range assetNames(t) {
		for _, found := range address.FindAllString(readAsset(t, name), -1) {
			if found != "http://www.w3.org/2000/svg" { // a name, not a place
				t.Errorf("%s names %s", name, found)
			}
		}
	}
}

func TestDataNeverBecomesMarkup(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|setAttribute\('style'`)
	inline := regexp.MustCompile(`(?i)<[^>]+\s(on[a-z]+|style)=|<style|<script[^>]*>[^<]`)
	for _, name := range assetNames(t) {
		text := readAsset(t, name)
		if found := forbidden.FindString(text); found != "" && strings.HasSuffix(name, ".js") {
			t.Errorf("%s uses %s", name, found)
		}
		if found := inline.FindString(text); found != "" && strings.HasSuffix(name, ".html") {
			t.Errorf("%s has inline script or style: %s", name, found)
		}
	}
}

func TestEveryReferencedAssetExists(t *testing.T) {
	names := assetNames(t)
	reference := regexp.MustCompile(`(?:from '\./|(?:src|href)="console/)([\w.]+)['"]`)
	used := []string{"index.html"}
	for _, name := range names {
		for _, found := range reference.FindAllStringSubmatch(readAsset(t, name), -1) {
			used = append(used, found[1])
			if !slices.Contains(names, found[1]) {
				t.Errorf("%s wants %s", name, found[1])
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(used, name) {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// messages reads a dictionary: JSON behind "export default".
func messages(t *testing.T, language string) map[string]string {
	t.Helper()
	text := readAsset(t, "messages."+language+".js")
	text = strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(text, "export default")), ";")
	var all map[string]string
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("messages.%s.js: %v", language, err)
	}
	if lines := strings.Count(text, `": "`); lines != len(all) {
		t.Errorf("messages.%s.js: %d lines for %d keys: a key is there twice", language, lines, len(all))
	}
	return all
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	en, zh := messages(t, "en"), messages(t, "zh")
	parameter := regexp.MustCompile(`\{\w+\}`)
	parameters := func(text string) []string {
		found := parameter.FindAllString(text, -1)
		slices.Sort(found)
		return found
	}
	for key, text := range en {
		other, ok := zh[key]
		if !ok || other == "" || text == "" {
			t.Errorf("%s: %q and %q", key, text, other)
		}
		if !slices.Equal(parameters(text), parameters(other)) {
			t.Errorf("%s: parameters differ: %q and %q", key, text, other)
		}
	}
	for key := range zh {
		if _, ok := en[key]; !ok {
			t.Errorf("%s is in Chinese only", key)
		}
	}
}

// composed are the keys that the page puts together from data.
func composed() []string {
	var keys []string
	add := func(prefix string, names ...string) {
		for _, name := range names {
			keys = append(keys, prefix+name)
		}
	}
	for _, o := range append(protocol.Outcomes(), protocol.OutcomePending) {
		add("outcome.", o.String(), o.String()+".help")
	}
	for _, s := range protocol.Stages() {
		add("stage.", s.String())
	}
	for _, r := range protocol.CloseReasons() {
		add("close.", r.String())
	}
	for _, c := range protocol.ClientTypes() {
		add("type.", c.String())
	}
	add("transport.", "tcp", "tls", "ws", "wss")
	add("ack.", "none", "auto", "biz")
	add("nodes.state.", "serving", "draining", "lost")
	add("nodes.address.", "device", "websocket", "gateway", "ops")
	add("users.online.", "online", "offline")
	add("device.state.", "offline", "connecting", "handshake", "connected", "binding", "bound", "waiting")
	add("device.broken.", "bad_url", "no_reply", "not_json")
	add("live.state.", "connecting", "live", "lost", "unauthorized")
	add("theme.", "auto", "light", "dark")
	add("chart.", "connections", "pushes", "latency", "outcomes")
	add("rate.", "accepted", "deliveries")
	add("quantile.", "p50", "p90", "p99")
	add("close.", "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1009", "1011", "1013")
	return keys
}

func TestEveryMessageExistsAndIsUsed(t *testing.T) {
	en := messages(t, "en")
	literal := regexp.MustCompile(`['"]([a-z][a-z_0-9]*(?:\.[a-z_0-9]+)+)['"]`)
	attribute := regexp.MustCompile(`data-i18n(?:-[a-z-]+)?="([^"]+)"`)
	used := composed()
	for _, name := range assetNames(t) {
		text := readAsset(t, name)
		switch {
		case strings.HasPrefix(name, "messages."):
		case strings.HasSuffix(name, ".html"):
			for _, found := range attribute.FindAllStringSubmatch(text, -1) {
				used = append(used, found[1])
			}
		case strings.HasSuffix(name, ".js"):
			for _, found := range literal.FindAllStringSubmatch(text, -1) {
				if !strings.HasPrefix(found[1], "fanfare.") { // keys of the browser's storage
					used = append(used, found[1])
				}
			}
		}
	}
	for _, key := range used {
		if _, ok := en[key]; !ok {
			t.Errorf("no message %q", key)
		}
	}
	for key := range en {
		if !slices.Contains(used, key) {
			t.Errorf("nothing uses the message %q", key)
		}
	}
}

// list reads the strings of an exported array of a module.
func list(t *testing.T, name, variable string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(readAsset(t, name), "export const "+variable+" = [")
	if !ok {
		t.Fatalf("%s has no %s", name, variable)
	}
	body, _, _ := strings.Cut(rest, "]")
	var all []string
	for _, found := range regexp.MustCompile(`'(\w+)'`).FindAllStringSubmatch(body, -1) {
		all = append(all, found[1])
	}
	return all
}

func names[T interface{ String() string }](all []T) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.String())
	}
	return texts
}

func TestClosedSetsAreTheProtocols(t *testing.T) {
	for _, set := range []struct {
		file, variable string
		want           []string
	}{
		{"device.js", "closeReasons", names(protocol.CloseReasons())},
		{"message.js", "outcomes", names(protocol.Outcomes())},
		{"message.js", "stages", names(protocol.Stages())},
	} {
		if got := list(t, set.file, set.variable); !slices.Equal(got, set.want) {
			t.Errorf("%s %s:\n got %v\nwant %v", set.file, set.variable, got, set.want)
		}
	}
}

func TestPageLabelsItsFields(t *testing.T) {
	text := readAsset(t, "index.html")
	for _, found := range regexp.MustCompile(`<(?:input|select|textarea)[^>]*\sid="([\w-]+)"`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(text, `for="`+found[1]+`"`) {
			t.Errorf("#%s has no label", found[1])
		}
	}
	ids := map[string]bool{}
	for _, found := range regexp.MustCompile(`\sid="([\w-]+)"`).FindAllStringSubmatch(text, -1) {
		if ids[found[1]] {
			t.Errorf("#%s is there twice", found[1])
		}
		ids[found[1]] = true
	}
	for _, name := range assetNames(t) {
		for _, found := range regexp.MustCompile(`byId\('([\w-]+)'\)`).FindAllStringSubmatch(readAsset(t, name), -1) {
			if !ids[found[1]] {
				t.Errorf("%s wants #%s", name, found[1])
			}
		}
	}
}
