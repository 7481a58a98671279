package console_test

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromiumPath is where Debian's package puts the browser.
const chromiumPath = "/usr/bin/chromium"

// patience is how long a step may take on a busy machine.
const patience = 30 * time.Second

// view is how the browser shows the page.
type view struct {
	Width, Height int64
	Languages     string // as in Accept-Language, such as "zh-CN,zh"
	Dark          bool
}

// desktop is an English desktop in light colours.
var desktop = view{Width: 1280, Height: 800, Languages: "en-US,en"}

// tab drives the console in a browser as a person would. Its methods fail the
// test when a step cannot be done within patience.
type tab struct {
	t      *testing.T
	ctx    context.Context
	heard  chan struct{} // closed when faults is complete
	faults []string      // exceptions, console errors and policy violations of the page
}

// openConsole starts a browser and opens the console at url, such as
// http://127.0.0.1:9999/html. At the end of the test it closes the browser and
// fails the test if the page reported a fault.
func openConsole(t *testing.T, url string, v view) *tab {
	t.Helper()
	requireChromium(t)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), browserFlags()...)
	ctx, stop := chromedp.NewContext(allocator)
	b := &tab{t: t, ctx: ctx, heard: make(chan struct{})}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits for the browser to end
			t.Errorf("closing the browser: %v", err)
		}
		stop()
		stopAllocator()
		<-b.heard
		for _, fault := range b.faults {
			t.Errorf("the page reported: %s", fault)
		}
	})
	go b.listen(chromedp.Console(ctx)) // this starts the browser too
	b.do("open "+url, chromedp.EmulateViewport(v.Width, v.Height), show(v), chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#live-state")))
	return b
}

func browserFlags() []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromiumPath), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
}

// requireChromium fails the test when the browser is missing, unless the caller
// named it in FANFARE_TEST_WITHOUT.
func requireChromium(t *testing.T) {
	t.Helper()
	if strings.Contains(os.Getenv("FANFARE_TEST_WITHOUT"), "chromium") {
		t.Skip("left out: FANFARE_TEST_WITHOUT names chromium")
	}
	if _, err := os.Stat(chromiumPath); err != nil {
		t.Fatalf("%s is missing: install Debian's chromium, or leave this out with FANFARE_TEST_WITHOUT=chromium", chromiumPath)
	}
}

// show sets the languages and colours that the browser prefers.
func show(v view) chromedp.Action[chromedp.Void] {
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		agent, err := chromedp.Evaluate[string]("navigator.userAgent")(ctx, target)
		if err != nil {
			return err
		}
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"}, // a click must not miss what is still scrolling
		}}
		if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media); err != nil {
			return err
		}
		_, err = cdp.Call(ctx, target, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: v.Languages})
		return err
	})
}

// listen collects what the page reports, until the browser ends. A refused call or
// connection is reported too, and is not the page's fault.
func (b *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	defer close(b.heard)
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.IsException() || (m.Type == "error" && m.Source != "network" && !strings.Contains(m.Text, "WebSocket connection to")) {
			b.faults = append(b.faults, m.String())
		}
	}
}

func (b *tab) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// eval evaluates JavaScript and decodes its value, waiting for a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// text is what an element shows; "" when it is hidden or missing.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// count is how many elements match.
func (b *tab) count(selector string) int {
	b.t.Helper()
	return eval[int](b, `document.querySelectorAll(`+quote(selector)+`).length`)
}

// attribute is an attribute's value, or "".
func (b *tab) attribute(selector, name string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector(`+quote(selector)+`)?.getAttribute(`+quote(name)+`) ?? ""`)
}

// until waits for a JavaScript expression to become true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !eval[bool](b, "Boolean("+expression+")") {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("%s did not come true: %s; the page says: %.1500s", what, expression, b.text("body"))
		}
	}
}

// untilText waits for an element to show a text among others.
func (b *tab) untilText(selector, want string) {
	b.t.Helper()
	b.until(selector+" shows "+want, `document.querySelector(`+quote(selector)+`)?.innerText.includes(`+quote(want)+`)`)
}

// untilState waits for a state pill to show a state by its name, in any language.
func (b *tab) untilState(selector, state string) {
	b.t.Helper()
	b.until(selector+" is "+state, `document.querySelector(`+quote(selector)+`)?.dataset.state === `+quote(state))
}

// click clicks an element.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill replaces the text of a field by typing.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	eval[chromedp.Void](b, `(e => { e.value = ""; e.dispatchEvent(new Event("input", {bubbles: true})); })(document.querySelector(`+quote(selector)+`))`)
	b.do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), value))
}

// choose chooses an option of a select by its value.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.do("choose "+value, chromedp.SetValue(chromedp.CSS(selector), value))
}

// live waits until the live numbers arrive.
func (b *tab) live() {
	b.t.Helper()
	b.untilState("#live-state", "live")
	b.until("a first sample", `document.querySelector("#tile-connections").innerText !== "–"`)
}

// become connects as a web device of user and waits until it is bound.
func (b *tab) become(user, tags string) {
	b.t.Helper()
	b.until("an address", `document.querySelector("#device-url").value !== ""`)
	b.fill("#device-user", user)
	b.fill("#device-tags", tags)
	b.click("#device-connect")
	b.untilState("#device-state", "bound")
}

// send sends a push to a user with an ack mode: none, auto or biz.
func (b *tab) send(user, content, ack string) {
	b.t.Helper()
	b.click(`label[for="push-target-user"]`)
	b.fill("#push-user", user)
	b.fill("#push-content", content)
	b.click(`label[for="push-ack-` + ack + `"]`)
	b.click("#push-send")
}

// untilOutcome waits until the message on show ended as outcome and returns its id.
func (b *tab) untilOutcome(outcome string) string {
	b.t.Helper()
	b.until("outcome "+outcome, `!document.querySelector("#message").hidden && document.querySelector("#message-outcome").dataset.outcome === `+quote(outcome))
	return b.text("#message-id")
}

// untilPush waits until a push with this text is in the device's list.
func (b *tab) untilPush(content string) {
	b.t.Helper()
	b.until("push "+content, `[...document.querySelectorAll('[data-testid="device-push"] pre')].some(e => e.innerText.includes(`+quote(content)+`))`)
}

// acknowledge presses the newest Ack button.
func (b *tab) acknowledge() {
	b.t.Helper()
	b.click(`[data-testid="device-ack"]`)
}

// confirm answers the dialog with yes.
func (b *tab) confirm() {
	b.t.Helper()
	b.until("a dialog", `document.querySelector("#confirm").open`)
	b.click("#confirm-yes")
	b.until("no dialog", `!document.querySelector("#confirm").open`)
}

// look looks a user up and waits for the answer.
func (b *tab) look(user string) {
	b.t.Helper()
	b.fill("#user-id", user)
	b.click("#user-look")
	b.until("the devices of "+user, `document.querySelector("#user-name").textContent === `+quote(user))
}

// keepsWidth fails the test when the page is wider than the window.
func (b *tab) keepsWidth() {
	b.t.Helper()
	if wide := eval[[]string](b, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(e).position !== "absolute" &&
		!e.closest(".jump, .visually-hidden, .table-wrap, .skip, svg")).map(e => e.tagName + "#" + e.id + "." + e.className)`); len(wide) > 0 {
		b.t.Errorf("wider than the window: %v", wide)
	}
	if cut := eval[[]string](b, `[...document.querySelectorAll("button")].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1 && !e.closest(".history")).map(e => e.id + e.innerText)`); len(cut) > 0 {
		b.t.Errorf("buttons narrower than their text: %q", cut)
	}
	if eval[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
		b.t.Errorf("the page scrolls sideways")
	}
}

// screenshot writes the whole page as a PNG file when FANFARE_CONSOLE_SHOTS names a
// directory; it is for looking, not for comparing.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("FANFARE_CONSOLE_SHOTS")
	if dir == "" {
		return
	}
	eval[chromedp.Void](b, `scrollTo(0, 0)`) // else the header lies across the middle
	ctx, cancel := b.limited()
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("screenshot: %v", err)
	}
	if err := os.WriteFile(dir+"/"+name+".png", image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
