package dingtalk

import (
	"strings"
	"sync"
	"testing"
)

func TestRenderedIsHarmless(t *testing.T) {
	ph := newPhone()
	for text, want := range map[string]string{
		"### down\n\n**node-2**":  "<h3>down</h3>\n<p><strong>node-2</strong></p>\n",
		"one\ntwo":                "<p>one<br>\ntwo</p>\n",
		"[go](http://h/?a=1&b=2)": "<p><a href=\"http://h/?a=1&amp;b=2\">go</a></p>\n",
		"a \\_b\\_ & c":           "<p>a _b_ &amp; c</p>\n",
		"- a\n- b":                "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n",
	} {
		if got := string(ph.rendered(text)); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{
		"<script>alert(1)</script>", "a <img src=x onerror=alert(1)> b", "[x](javascript:alert(1))", "![x](javascript:alert(1))",
		"[x](data:text/html;base64,PHNjcmlwdD4=)", "<javascript:alert(1)>", "[x](JaVaScRiPt:alert(1))", "[x](java&#115;cript:alert(1))",
		"[x](http://h \"\" onclick=alert(1))", "`<script>`", "[\"onmouseover=alert(1) x=\"](http://h)", "[x](http://h/\"onclick=alert(1))",
	} {
		got := strings.ToLower(string(ph.rendered(text)))
		for _, bad := range []string{"<script", "href=\"javascript:", "src=\"javascript:", "href=\"data:text", "<img src=x", "\" onclick", "\"onclick", "\"onmouseover"} {
			if strings.Contains(got, bad) {
				t.Errorf("%q became %q, which has %s", text, got, bad)
			}
		}
	}
}

// TestRenderedAtATime: one phone serves many readers.
func TestRenderedAtATime(t *testing.T) {
	ph := newPhone()
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 50 {
				if got := ph.rendered("**a**\nb"); got != "<p><strong>a</strong><br>\nb</p>\n" {
					t.Errorf("became %q", got)
				}
			}
		})
	}
	readers.Wait()
}
