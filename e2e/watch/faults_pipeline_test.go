//go:build linux

package watch

import (
	"context"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// pipelineFaults are about those who watch.
func pipelineFaults() []scenario {
	return []scenario{
		{
			name: "the leader is killed", how: "SIGKILL", alerts: []string{"PrometheusDown"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"}, alone: true,
			also:   []string{"PrometheusNotificationsFailing"}, // discovery takes 5 s after a start, however time is lapsed
			inject: func(t *testing.T, s *stack) { s.leader.kill(t) },
			repair: func(t *testing.T, s *stack) {
				s.leader.start(t)
				eventually(t, "the leader is ready", func() string { return ready(s.leader.address) })
			},
			during: func(t *testing.T, s *stack, began time.Time) {
				m := s.awaitText(t, "watchdog", began, s.lapse.of(6*time.Minute)+2*promised) // Alertmanager goes on for four of them, then three beats are missed
				t.Logf("the dead man's message came after %v:\n%s\n%s", m.At.Sub(began).Round(100*time.Millisecond), m.Title, m.Text)
				s.deadmanBack = time.Now()
			},
			after: func(t *testing.T, s *stack) {
				m := s.awaitText(t, "watchdog", s.deadmanBack, s.lapse.of(30*time.Second)+2*promised)
				t.Logf("the watchdog is back:\n%s\n%s", m.Title, m.Text)
			},
		},
		{
			name: "follower-1 is killed", how: "SIGKILL", alerts: []string{"PrometheusDown"},
			labels: map[string]string{"instance": "prometheus-follower-1:9090"}, names: []string{"follower-1"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.follower1.kill(t) },
			repair: func(t *testing.T, s *stack) {
				s.follower1.start(t)
				eventually(t, "follower-1 is ready", func() string { return ready(s.follower1.address) })
			},
			during: func(t *testing.T, s *stack, began time.Time) {
				for _, series := range []string{"cluster:fanfare_connections:sum", "cluster_node:fanfare_connections:sum", "global:fanfare_connections:sum"} {
					eventually(t, "the leader shows no numbers that nobody measures", func() string {
						left, err := s.leader.try(series)
						return unless(err == nil && len(left) == 0, "%s is still %v, %v", series, left, err)
					})
				}
				s.only(t, began, "PrometheusDown")
			},
		},
		{
			name: "follower-2 is killed", how: "SIGKILL", alerts: []string{"FollowerDown"},
			labels: map[string]string{"instance": "prometheus-follower-2:9090"}, names: []string{"follower-2"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.follower2.kill(t) },
			repair: func(t *testing.T, s *stack) {
				s.follower2.start(t)
				eventually(t, "follower-2 is ready", func() string { return ready(s.follower2.address) })
			},
			during: func(t *testing.T, s *stack, began time.Time) { s.only(t, began, "FollowerDown") },
		},
		{
			name: "node_exporter is killed", how: "SIGKILL", alerts: []string{"TargetDown"}, names: []string{"node-exporter"}, needs: hostAlerts,
			inject: func(t *testing.T, s *stack) { s.nodeExporter.kill(t) },
			repair: func(t *testing.T, s *stack) { s.nodeExporter.start(t) },
		},
	}
}

// awaitText waits for a message that says something.
func (s *stack) awaitText(t *testing.T, what string, after time.Time, limit time.Duration) dingtalktest.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	m, err := s.dingtalk.Wait(ctx, func(r dingtalktest.Received) bool { return r.At.After(after) && says(r, what) })
	if err != nil {
		t.Fatalf("no message says %q within %v", what, limit)
	}
	return m
}
