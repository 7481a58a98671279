package consoletest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/chromedp/chromedp"
)

// limited is a context for one step.
func (b *Tab) limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

// Do performs steps of chromedp; what names them when they fail.
func (b *Tab) Do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Eval evaluates JavaScript and decodes its value, waiting for a promise.
func Eval[T any](b *Tab, expression string) T {
	b.t.Helper()
	ctx, cancel := b.limited()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// quote writes a JavaScript string.
func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string always marshals
	return string(quoted)
}

// Text is what an element shows; "" when it is hidden or missing.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	return Eval[string](b, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// Count is how many elements match.
func (b *Tab) Count(selector string) int {
	b.t.Helper()
	return Eval[int](b, `document.querySelectorAll(`+quote(selector)+`).length`)
}

// Attribute is an attribute's value, or "".
func (b *Tab) Attribute(selector, name string) string {
	b.t.Helper()
	return Eval[string](b, `document.querySelector(`+quote(selector)+`)?.getAttribute(`+quote(name)+`) ?? ""`)
}

// Until waits for a JavaScript expression to become true.
func (b *Tab) Until(what, expression string) {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !Eval[bool](b, "Boolean("+expression+")") {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("%s did not come true: %s; the page says: %.1500s", what, expression, b.Text("body"))
		}
	}
}

// UntilText waits for an element to show a text among others.
func (b *Tab) UntilText(selector, want string) {
	b.t.Helper()
	b.Until(selector+" shows "+want, `document.querySelector(`+quote(selector)+`)?.innerText.includes(`+quote(want)+`)`)
}

// UntilState waits for a state pill to show a state by its name, in any language.
func (b *Tab) UntilState(selector, state string) {
	b.t.Helper()
	b.Until(selector+" is "+state, `document.querySelector(`+quote(selector)+`)?.dataset.state === `+quote(state))
}

// Click clicks an element.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.Do("click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Fill replaces the text of a field by typing.
func (b *Tab) Fill(selector, value string) {
	b.t.Helper()
	Eval[chromedp.Void](b, `(e => { e.value = ""; e.dispatchEvent(new Event("input", {bubbles: true})); })(document.querySelector(`+quote(selector)+`))`)
	b.Do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), value))
}

// Choose chooses an option of a select by its value.
func (b *Tab) Choose(selector, value string) {
	b.t.Helper()
	b.Do("choose "+value, chromedp.SetValue(chromedp.CSS(selector), value))
}
