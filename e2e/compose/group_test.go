package compose

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// The robot of the test's group. They open nothing.
const (
	robotToken  = "token-of-the-compose-test"
	robotSecret = "SEC-of-the-compose-test"
)

// group is a DingTalk group on this side of the containers, with a robot in it.
type group struct {
	*dingtalktest.Server
	environ []string // for docker-compose.yml
}

// openGroup serves DingTalk's interface where containers reach it: at the address that
// this machine has in Docker's own network.
func openGroup(t *testing.T) *group {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge").CombinedOutput()
	if err != nil {
		t.Fatalf("asking Docker for this machine's address: %v\n%s", err, out)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(strings.TrimSpace(string(out)), "0"))
	if err != nil {
		t.Fatal(err)
	}
	g := &group{Server: dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: robotToken, Secret: robotSecret}}})}
	server := &http.Server{Handler: g.Server, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); err != http.ErrServerClosed {
			t.Errorf("the group is not served any more: %v", err)
		}
	}()
	t.Cleanup(func() { server.Close(); <-done })
	g.environ = []string{"FANFARE_DINGTALK_API=http://" + l.Addr().String(), "FANFARE_DINGTALK_TOKEN=" + robotToken, "FANFARE_DINGTALK_SECRET=" + robotSecret}
	return g
}

// hear waits for a message about an alert of a node.
func (g *group) hear(t *testing.T, alert, node string, over bool) dingtalktest.Received {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	m, err := g.Wait(ctx, func(m dingtalktest.Received) bool {
		return strings.Contains(m.Text, alert) && strings.Contains(m.Text, node) && isOver(m) == over
	})
	if err != nil {
		for _, m := range g.Received() {
			t.Logf("a message: %s\n%s", m.Title, m.Text)
		}
		t.Fatalf("nobody heard of %s of %s (over: %v): %v; answers %v", alert, node, over, err, g.Answers(""))
	}
	t.Logf("the message: %s\n%s", m.Title, m.Text)
	return m
}

// isOver tells whether a message says that something is over.
func isOver(m dingtalktest.Received) bool { return strings.Contains(m.Title, "恢复") }

// alertName is how messages name alerts.
var alertName = regexp.MustCompile(`\b(?:Fanfare|Host|Redis|ZooKeeper|Probe|Prometheus|Federation|Follower|Target|Alertmanager|DingTalk)[A-Z]\w+`)

// foreseen are the alerts that people may hear of: the node that was killed; Grafana, for
// which there is no stand-in; and what is so of the machine, whose clock may follow nobody,
// and which may be slow.
var foreseen = []string{
	"FanfareNodeDown", "TargetDown", "HostClockUnsynchronised",
	"HostCPUHigh", "FanfareStoreSlow", "FanfareCanarySlow", "FanfareLatencyBudgetBurn", "ProbeSlow", "ZooKeeperSlow",
}

// resolved waits until people hear that the node that was killed is back, and long enough
// for them to hear of the one that was stopped in order; of which nobody is to hear.
func resolved(t *testing.T, g *group, node, stopped string) {
	g.hear(t, "FanfareNodeDown", node, true)
	follower1.wantAbove(t, 90, fmt.Sprintf(`time() - max(max_over_time(timestamp(up{job="fanfare-node",node=%q} == 1)[15m:15s]))`, stopped))
	heard := map[string]int{}
	for _, m := range g.Received() {
		heard[m.Title]++
		if strings.Contains(m.Text, "FanfareNodeDown") && !strings.Contains(m.Text, node) {
			t.Errorf("a node that was stopped in order is reported as down: %s\n%s", m.Title, m.Text)
		}
		for _, name := range alertName.FindAllString(m.Text, -1) {
			if !slices.Contains(foreseen, name) || name == "TargetDown" && (realImages() || !strings.Contains(m.Text, "grafana")) {
				t.Errorf("nobody should have heard of %s: %s\n%s", name, m.Title, m.Text)
			}
		}
	}
	t.Logf("%d messages in all, by title: %v", len(g.Received()), heard)
	down := 0
	for _, m := range g.Received() {
		if strings.Contains(m.Text, "FanfareNodeDown") && !isOver(m) {
			down++
		}
	}
	if down != 1 {
		t.Errorf("the node that died is in %d messages; two Alertmanagers and two replicas are to send one", down)
	}
}

// preview takes the robot away: what would be sent is shown, and nothing leaves.
func preview(t *testing.T, s *stack, g *group) {
	const bridge = "http://127.0.0.1:8060"
	if _, page := get(t, bridge+"/ui"); strings.Contains(page, robotToken) || strings.Contains(page, robotSecret) {
		t.Errorf("the bridge shows the secrets of its robot")
	}
	s.environ = append(s.environ, "FANFARE_DINGTALK_TOKEN=", "FANFARE_DINGTALK_SECRET=")
	s.compose(t, "up", "--detach", "--no-deps", "dingtalk")
	s.waitHealthy(t, "dingtalk") // a node is away on purpose
	before := len(g.Received())
	const alert = `{"version":"4","groupKey":"rehearsal","status":"firing","receiver":"ding-critical","externalURL":"http://127.0.0.1:9093",
		"groupLabels":{"alertname":"Rehearsal"},"commonLabels":{"alertname":"Rehearsal"},"commonAnnotations":{},"alerts":[{"status":"firing",
		"labels":{"alertname":"Rehearsal","severity":"critical"},"annotations":{"summary":"only a rehearsal"},"startsAt":"2026-01-02T03:04:05Z",
		"endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"00000000000000aa"}]}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, bridge+"/dingtalk/critical/send", strings.NewReader(alert))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the bridge answers %s", answer.Status)
	}
	eventually(t, time.Minute, "the message is shown", func() error {
		if status, page := get(t, bridge+"/ui"); status != http.StatusOK || !strings.Contains(page, "only a rehearsal") {
			return fmt.Errorf("/ui answers %d, %d bytes", status, len(page))
		}
		return nil
	})
	if after := len(g.Received()); after != before {
		t.Errorf("%d messages left without a token", after-before)
	}
}
