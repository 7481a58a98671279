//go:build linux

package watch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

const (
	storm       = 500 // alerts at once
	manyAtMost  = 20  // messages that they may become in a minute
	stormSender = 8   // requests beside each other
)

// TestStormOfAlerts gives a bridge with one robot, as it ships, far more than the robot may
// send, and kills it as soon as it has said yes to everything.
func TestStormOfAlerts(t *testing.T) {
	t.Parallel()
	mock := dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: "only", Secret: robotSecret("only")}}})
	address := freeAddress(t)
	bridge := newProcess(t, "dingtalk", fanfare, "dingtalk", "--config", shippedWithoutSilence(t), "--data-dir", t.TempDir(), "--web.listen-address", address)
	bridge.env = []string{"FANFARE_DINGTALK_API=http://" + serve(t, mock), "FANFARE_DINGTALK_TOKEN=only", "FANFARE_DINGTALK_SECRET=" + robotSecret("only")}
	bridge.start(t)
	eventually(t, "the bridge is ready", func() string { return ready(address) })

	began := time.Now()
	sendStorm(t, address)
	accepted := time.Since(began)
	bridge.kill(t)
	bridge.start(t)

	t.Cleanup(func() {
		for _, m := range mock.Received() {
			if t.Failed() {
				t.Logf("%v %s: %d bytes: %.300s", m.At.Sub(began), m.Title, len(m.Text), m.Text)
			}
		}
	})
	within(t, 2*time.Minute, "everything arrived", func() string {
		missing := stormMissing(mock)
		return unless(len(missing) == 0, "%d alerts are in no message, such as %v; %d messages, answers %v", len(missing), missing[:min(3, len(missing))], len(mock.Received()), mock.Answers(""))
	})
	all := mock.Received()
	if banned := mock.Answers("")["130101"]; banned > 0 || len(all) > manyAtMost {
		t.Errorf("%d messages, want at most %d; refused for their number: %d", len(all), manyAtMost, banned)
	}
	t.Logf("%d alerts, accepted within %v, were all in %d messages %v after the first", storm, accepted.Round(time.Millisecond), len(all), all[len(all)-1].At.Sub(began).Round(time.Millisecond))
}

// shippedWithoutSilence is the bridge's configuration but for Alertmanager, which does not
// run here.
func shippedWithoutSilence(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(shipped(t, "dingtalk/config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yml")
	writeFile(t, path, strings.ReplaceAll(string(text), "http://alertmanager:9093", "http://127.0.0.1:9093"))
	return path
}

func stormAlert(i int) string { return fmt.Sprintf("StormAlert%04d", i) }

// sendStorm gives the bridge all alerts at once, each in a group of its own.
func sendStorm(t *testing.T, address string) {
	t.Helper()
	var work sync.WaitGroup
	for k := range stormSender {
		work.Go(func() {
			for i := k; i < storm; i += stormSender {
				if code, text := post(t, "http://"+address+"/dingtalk/ops/send", webhook(stormAlert(i), stormAlert(i))); code != http.StatusOK {
					t.Errorf("the bridge answers %d: %s", code, text)
				}
			}
		})
	}
	work.Wait()
}

// stormMissing are the alerts that no message names.
func stormMissing(mock *dingtalktest.Server) (missing []string) {
	var said strings.Builder
	for _, m := range mock.Received() {
		said.WriteString(m.Title + m.Text)
	}
	text := said.String()
	for i := range storm {
		if !strings.Contains(text, stormAlert(i)) {
			missing = append(missing, stormAlert(i))
		}
	}
	return missing
}
