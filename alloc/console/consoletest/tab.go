// Package consoletest drives the console in a headless Chromium, for tests: of the
// console by itself and of the whole product. It is never part of the program.
package consoletest

import (
	"context"
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

// View is how the browser shows the page.
type View struct {
	Width, Height int64
	Languages     string // as in Accept-Language, such as "zh-CN,zh"
	Dark          bool
}

// Desktop is an English desktop in light colours.
func Desktop() View { return View{Width: 1280, Height: 800, Languages: "en-US,en"} }

// Phone is a narrow phone with the given languages.
func Phone(languages string, dark bool) View {
	return View{Width: 360, Height: 740, Languages: languages, Dark: dark}
}

// Tab drives the console in a browser as a person would. Its methods fail the
// test when a step cannot be done within patience.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	heard  chan struct{} // closed when faults is complete
	faults []string      // exceptions, console errors and policy violations of the page
}

// Open starts a browser and opens the console at url, such as
// http://127.0.0.1:9999/html. At the end of the test it closes the browser and
// fails the test if the page reported a fault. A missing browser fails the test too,
// unless FANFARE_TEST_WITHOUT names chromium: then it is left out.
func Open(t testing.TB, url string, v View) *Tab {
	t.Helper()
	requireChromium(t)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), browserFlags()...)
	ctx, stop := chromedp.NewContext(allocator)
	b := &Tab{t: t, ctx: ctx, heard: make(chan struct{})}
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
	b.Do("open "+url, chromedp.EmulateViewport(v.Width, v.Height), show(v), chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#live-state")))
	return b
}

func browserFlags() []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromiumPath), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
}

// requireChromium fails the test when the browser is missing, unless the caller
// named it in FANFARE_TEST_WITHOUT.
func requireChromium(t testing.TB) {
	t.Helper()
	if strings.Contains(os.Getenv("FANFARE_TEST_WITHOUT"), "chromium") {
		t.Skip("left out: FANFARE_TEST_WITHOUT names chromium")
	}
	if _, err := os.Stat(chromiumPath); err != nil {
		t.Fatalf("%s is missing: install Debian's chromium, or leave this out with FANFARE_TEST_WITHOUT=chromium", chromiumPath)
	}
}

// show sets the languages and colours that the browser prefers.
func show(v View) chromedp.Action[chromedp.Void] {
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
func (b *Tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
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
