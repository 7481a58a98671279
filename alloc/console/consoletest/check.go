package consoletest

import (
	"os"

	"github.com/chromedp/chromedp"
)

// KeepsWidth fails the test when the page is wider than the window.
func (b *Tab) KeepsWidth() {
	b.t.Helper()
	if wide := Eval[[]string](b, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(e).position !== "absolute" &&
		!e.closest(".jump, .visually-hidden, .table-wrap, .skip, svg")).map(e => e.tagName + "#" + e.id + "." + e.className)`); len(wide) > 0 {
		b.t.Errorf("wider than the window: %v", wide)
	}
	if cut := Eval[[]string](b, `[...document.querySelectorAll("button")].filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1 && !e.closest(".history")).map(e => e.id + e.innerText)`); len(cut) > 0 {
		b.t.Errorf("buttons narrower than their text: %q", cut)
	}
	if Eval[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
		b.t.Errorf("the page scrolls sideways")
	}
}

// Screenshot writes the whole page as a PNG file when FANFARE_CONSOLE_SHOTS names a
// directory; it is for looking, not for comparing.
func (b *Tab) Screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("FANFARE_CONSOLE_SHOTS")
	if dir == "" {
		return
	}
	Eval[chromedp.Void](b, `scrollTo(0, 0)`) // else the header lies across the middle
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
