//go:build unix

package dingtalk

import (
	"net/http"
	"testing"
	"testing/synctest"
)

// TestTwinsAreNotedInTime: what a target is about to accept is known before its lane can
// see it, and forgotten if it was not accepted.
func TestTwinsAreNotedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets:\n  one: {robots: [{{robot a}}]}\n  two: {robots: [{{robot a}}]}\n", "a")
		w.begin()
		defer w.end()
		noted := func(when string, want int) {
			t.Helper()
			w.twins.mu.Lock()
			defer w.twins.mu.Unlock()
			n := 0
			for _, list := range w.twins.byKey {
				n += len(list)
			}
			if n != want || len(w.twins.order) != want {
				t.Errorf("%s: %d are noted, %d in order, want %d", when, n, len(w.twins.order), want)
			}
		}
		repair := w.breakDisk()
		w.refusedBy("one", "Refused")
		noted("after a refusal", 0)
		repair()

		goOn := w.hangDisk()
		answered := make(chan int, 1)
		go func() {
			answered <- w.do(http.MethodPost, "/dingtalk/one/send", encode(t, payload("g", alert("One", "warning")))).Code
		}()
		synctest.Wait()
		noted("before it is kept", 1)
		goOn()
		if code := <-answered; code != http.StatusOK {
			t.Fatalf("answered %d", code)
		}
		noted("once it is kept", 1)
		w.post("one", payload("g", alert("One", "warning")))
		noted("after a duplicate", 1)
		w.post("two", payload("g", alert("One", "warning")))
		noted("after that of the other target", 2)
	})
}
