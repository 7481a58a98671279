package dingtalk

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// chaosFaults are answers that hold a message up and never make a dead letter of it.
func chaosFaults() []dingtalktest.Fault {
	return []dingtalktest.Fault{
		{Body: `{"errcode":-1,"errmsg":"busy"}`}, {Body: `{"errcode":130101,"errmsg":"send too fast"}`},
		{Body: `{"errcode":400999,"errmsg":"something new"}`}, {Body: `{"errcode":460101,"errmsg":"too long"}`},
		{Drop: true}, {Drop: true, Accept: true}, {Status: 502, Body: "<html>bad gateway</html>"}, {Body: "{}"},
		{Delay: 7 * time.Second, Accept: true, Body: `{"errcode":0,"errmsg":"ok"}`},
	}
}

// TestChaos: whatever DingTalk answers and whenever the bridge is restarted, every group's
// last message is its last state, no message comes after a newer one, and nothing is
// given up.
func TestChaos(t *testing.T) {
	mark := regexp.MustCompile(`group(\d+)state(\d+)`)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7))
				w := newWorld(t, fmt.Sprintf("targets: {ops: {robots: [{{robot a}}, {{robot b}}]}}\ndigest: {after: %d}\n", 1+r.IntN(5)), "a", "b")
				w.begin()
				states := map[int]int{}
				for range 120 {
					switch r.IntN(12) {
					case 0:
						w.end()
						w.begin()
					case 1, 2:
						f := chaosFaults()
						w.robots.Next([]string{"a", "b"}[r.IntN(2)], f[r.IntN(len(f))])
					case 3:
						time.Sleep(time.Duration(r.IntN(300)) * time.Second)
					default:
						g := r.IntN(6)
						states[g]++
						severity := []string{"critical", "warning", "info", "resolved"}[r.IntN(4)]
						a := alert(fmt.Sprint("Group", g), severity)
						a["startsAt"] = time.Unix(1_700_000_000+int64(states[g]), 0).UTC().Format(time.RFC3339)
						a["annotations"] = map[string]string{"summary_zh": fmt.Sprintf("group%dstate%d", g, states[g])}
						all := []map[string]any{a}
						for i := range []int{0, 0, 0, 150}[r.IntN(4)] { // enough for some messages
							filler := alert(fmt.Sprintf("Filler%dof%d", i, g), "warning")
							filler["annotations"] = map[string]string{"summary_zh": strings.Repeat("说明", 40)}
							all = append(all, filler)
						}
						w.post("ops", payload(fmt.Sprint("g", g), all...))
					}
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
				}
				w.waitFor("the empty queue", 6*time.Hour, func() bool { return w.spool.Depth("ops") == 0 })
				w.end()
				last := map[int]int{}
				for _, m := range w.robots.Received() {
					for _, found := range mark.FindAllStringSubmatch(m.Text, -1) {
						g, _ := strconv.Atoi(found[1]) // digits
						state, _ := strconv.Atoi(found[2])
						if state < last[g] {
							t.Errorf("state %d of group %d came after %d", state, g, last[g])
						}
						last[g] = state
					}
				}
				for g, want := range states {
					if last[g] != want {
						t.Errorf("the last message of group %d is about state %d, want %d", g, last[g], want)
					}
				}
				if n := w.metric("dead_letters_total", "target", "ops"); n > 0 {
					t.Errorf("%v dead letters", n)
				}
			})
		})
	}
}
