package consoletest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fanfare-push/fanfare/alloc/console/consoletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// verdict keeps what a test would be told, so that the telling can be tested.
type verdict struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (v *verdict) Helper()          {}
func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }
func (v *verdict) Errorf(format string, args ...any) {
	v.errors = append(v.errors, fmt.Sprintf(format, args...))
}

func (v *verdict) finish() string {
	for _, f := range v.cleanups {
		f()
	}
	return strings.Join(v.errors, "\n")
}

// open shows a page with a script and returns what the test is told of it.
func open(t *testing.T, script string, look func(*consoletest.Tab)) string {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>page</title><link rel="icon" href="data:,"><p id="live-state">here</p><script>%s</script>`, script)
	}))
	defer page.Close()
	v := &verdict{TB: t}
	b := consoletest.Open(v, page.URL, consoletest.Phone("zh-CN,zh", true))
	look(b)
	return v.finish()
}

func TestFaultsOfThePageAreTold(t *testing.T) {
	for script, want := range map[string]string{
		`console.error("not well")`:           "not well",
		`setTimeout(() => { no.such.thing })`: "ReferenceError",
	} {
		told := open(t, script+`; setTimeout(() => document.body.dataset.state = "done")`, func(b *consoletest.Tab) { b.UntilState("body", "done") })
		if !strings.Contains(told, want) {
			t.Errorf("of %s the test is told %q", script, told)
		}
	}
}

func TestPageWithoutFaults(t *testing.T) {
	told := open(t, `console.log("fine")`, func(b *consoletest.Tab) {
		if got := consoletest.Eval[string](b, `[navigator.language, matchMedia("(prefers-color-scheme: dark)").matches, innerWidth].join()`); got != "zh-CN,true,360" {
			t.Errorf("the browser is %s", got)
		}
		b.KeepsWidth()
	})
	if told != "" {
		t.Errorf("the test is told %q", told)
	}
}

func TestWidePageIsTold(t *testing.T) {
	told := open(t, `document.querySelector("p").style.width = "2000px"`, func(b *consoletest.Tab) { b.KeepsWidth() })
	if !strings.Contains(told, "wider than the window: [P#live-state.]") || !strings.Contains(told, "sideways") {
		t.Errorf("the test is told %q", told)
	}
}
