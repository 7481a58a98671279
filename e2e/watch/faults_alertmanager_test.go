//go:build linux

package watch

import (
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// alertmanagerFaults are about Alertmanager, without which nobody is told of anything but
// by the bridge itself.
func alertmanagerFaults() []scenario {
	return []scenario{
		alertmanagerKilled(),
		{
			name: "Alertmanager cannot reach one of its receivers", how: "the way to the dead man's switch is cut", alerts: []string{"AlertmanagerNotificationsFailing"},
			names: []string{"alertmanager:9093"}, window: 5 * time.Minute,
			inject: func(_ *testing.T, s *stack) {
				s.bridge.relay.fault("receiver", trouble{path: "/deadman/watchdog", drop: true})
			},
			during: func(t *testing.T, s *stack, began time.Time) { s.awaitText(t, "watchdog", began, promised) },
			repair: func(_ *testing.T, s *stack) { s.bridge.relay.heal("receiver") },
		},
		{
			name: "Alertmanager gets a configuration that is wrong", how: "the file, and SIGHUP", alerts: []string{"AlertmanagerConfigReloadFailed"},
			names: []string{"alertmanager:9093"},
			inject: func(t *testing.T, s *stack) {
				text := s.readFile(t, s.alertmanagerConfig)
				writeFile(t, s.alertmanagerConfig, text+wrongKey)
				s.alertmanager.signal(t, syscall.SIGHUP)
			},
			repair: func(t *testing.T, s *stack) {
				text := s.readFile(t, s.alertmanagerConfig)
				writeFile(t, s.alertmanagerConfig, text[:len(text)-len(wrongKey)])
				s.alertmanager.signal(t, syscall.SIGHUP)
			},
		},
		clusterSplit(),
	}
}

// alertmanagerKilled can be told when there is an Alertmanager again. Until then the bridge
// says by itself that the watchdog is silent.
func alertmanagerKilled() scenario {
	var back time.Time
	return scenario{
		name: "Alertmanager is killed", how: "SIGKILL; told when it is back, until then by the dead man's message", alerts: []string{"AlertmanagerDown"},
		names: []string{"alertmanager:9093"}, alone: true,
		window: 90 * time.Second, // of the dead man's switch, which comes first
		inject: func(t *testing.T, s *stack) {
			began := time.Now()
			s.alertmanager.kill(t)
			defer func() {
				back = time.Now()
				s.alertmanager.start(t)
				eventually(t, "Alertmanager is ready", func() string { return ready(s.alertmanager.address) })
			}()
			s.awaitText(t, "watchdog", began, s.lapse.of(2*time.Minute)+promised) // three beats are missed
			s.fires(t, "AlertmanagerDown")
		},
		mended: func() time.Time { return back },
		repair: func(*testing.T, *stack) {},
		during: func(t *testing.T, s *stack, began time.Time) {
			s.awaitText(t, "watchdog", back, s.lapse.of(time.Minute)+promised) // it is back
			s.only(t, began, "AlertmanagerDown")
		},
	}
}

// inAlertmanagers is where the target of follower-2's job for Alertmanager stands.
var inAlertmanagers = regexp.MustCompile(`(?s)(job_name: alertmanager\n.*?\n)( *- )alertmanager:9093\n`)

// clusterSplit starts a second Alertmanager that nobody told of the first.
func clusterSplit() scenario {
	const name = "alertmanager-2:9093"
	var second *watcher
	var file, right string
	return scenario{
		name: "a second Alertmanager does not know the first", how: "started without --cluster.peer", alerts: []string{"AlertmanagerClusterSplit"},
		labels: map[string]string{"instance": name}, names: []string{name}, needs: []string{"files of follower-2"},
		// Debian's Prometheus knows no Alertmanager for 5 s after it read its files, lapsed or not.
		also: []string{"PrometheusNotificationsFailing"},
		prepare: func(t *testing.T, s *stack) {
			address, gossip, config := freeAddress(t), freeAddress(t), t.TempDir()
			s.render(t, "alertmanager-2", shipped(t, "alertmanager"), config, nil)
			second = s.newWatcher(t, "alertmanager-2", name, address, installed(t, "prometheus-alertmanager"),
				"--config.file="+filepath.Join(config, "alertmanager.yml"), "--storage.path="+t.TempDir(), "--web.listen-address="+address,
				"--cluster.listen-address="+gossip, "--cluster.advertise-address="+gossip)
			second.start(t)
			eventually(t, "the second Alertmanager is ready", func() string { return ready(address) })
		},
		inject: func(t *testing.T, s *stack) {
			file = filepath.Join(s.follower2.config, "prometheus.yml")
			right = s.readFile(t, file)
			both := inAlertmanagers.ReplaceAllString(right, "${1}${2}alertmanager:9093\n${2}"+name+"\n")
			if both == right {
				t.Fatalf("no job for Alertmanager in\n%s", right)
			}
			writeFile(t, file, both)
			s.follower2.signal(t, syscall.SIGHUP)
		},
		repair: func(t *testing.T, s *stack) {
			writeFile(t, file, right)
			s.follower2.signal(t, syscall.SIGHUP)
		},
		after: func(t *testing.T, s *stack) {
			second.terminate(t)
			within(t, settling, "follower-2 knows Alertmanager again", func() string {
				all, err := s.follower2.try(`ALERTS{alertname="PrometheusNotificationsFailing",instance="prometheus-follower-2:9090"}`)
				return unless(err == nil && len(all) == 0, "%v, %v", all, err)
			})
		},
	}
}

func (s *stack) readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
