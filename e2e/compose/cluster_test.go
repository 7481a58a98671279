package compose

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// TestCluster starts the cluster as README says and lives through what happens to one,
// with replicas of whoever watches it.
func TestCluster(t *testing.T) {
	needDocker(t)
	group := openGroup(t)
	s := startStack(t, group.environ, "", "ha")
	key, err := protocol.ParsePublicKey([]byte(s.secret(t, "public-key")))
	if err != nil {
		t.Fatal(err)
	}
	token := s.secret(t, "api-token")
	one, two := newBackend(t, alloc1, token), newBackend(t, alloc2, token)
	phone := connect(t, key, "alice", "")

	var killed, stopped string
	ok := t.Run("strangers stay out", func(t *testing.T) { strangers(t) }) &&
		t.Run("allocators agree", func(t *testing.T) { agree(t, one, two) }) &&
		t.Run("every node is reached", func(t *testing.T) { everyNode(t, key, one, two) }) &&
		t.Run("a second start changes nothing", func(t *testing.T) { again(t, s, token) }) &&
		t.Run("everything is watched", func(t *testing.T) { watched(t) }) &&
		t.Run("the load starts", func(t *testing.T) { s.add(t, "load") }) &&
		t.Run("a node is killed", func(t *testing.T) { killed = kill(t, s, phone, two, group) }) &&
		t.Run("the load is seen", func(t *testing.T) { loadIsSeen(t, s) }) &&
		t.Run("a node is stopped", func(t *testing.T) { stopped = stop(t, s, phone, two) }) &&
		t.Run("the alert is resolved", func(t *testing.T) { resolved(t, group, killed, stopped) }) &&
		t.Run("without a robot", func(t *testing.T) { preview(t, s, group) })
	if !ok {
		t.Fatal("the rest was left out")
	}
}

// strangers have no token and find no port that is not published.
func strangers(t *testing.T) {
	for _, url := range []string{alloc1, alloc2} {
		if status, body := get(t, url+"/api/v1/nodes"); status != http.StatusUnauthorized {
			t.Errorf("without a token %s answers %d: %s", url, status, body)
		}
	}
	for name, address := range map[string]string{"Redis": "127.0.0.1:6379", "ZooKeeper": "127.0.0.1:2181", "a gateway": "127.0.0.1:3001"} {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			t.Errorf("%s can be reached at %s", name, address)
		}
	}
}

// agree checks that both allocators name the same nodes to everybody who asks.
func agree(t *testing.T, one, two backend) {
	for _, b := range []backend{one, two} {
		eventually(t, 30*time.Second, "all nodes serve", func() error { return wantServing(b.states(t), 3) })
	}
	for _, url := range []string{alloc1, alloc2} {
		_, list := get(t, url+"/")
		addresses := strings.Split(list, ",")
		slices.Sort(addresses)
		if !slices.Equal(addresses, slices.Sorted(maps.Values(devicePorts))) {
			t.Errorf("%s sends devices to %s", url, list)
		}
		status, targets := get(t, url+"/sd/prometheus")
		for node := range devicePorts {
			if !strings.Contains(targets, `"`+node+`:9310"`) {
				t.Errorf("%s does not tell Prometheus of %s: %d %s", url, node, status, targets)
			}
		}
	}
	for _, port := range []string{"9310", "9410", "9510"} {
		if status, body := get(t, "http://127.0.0.1:"+port+"/-/ready"); status != http.StatusOK {
			t.Errorf("port %s: %d %s", port, status, body)
		}
	}
}

// everyNode has a device on each node and pushes to it through both allocators, then
// to all at once.
func everyNode(t *testing.T, key *protocol.PublicKey, one, two backend) {
	var devices []*device
	for _, node := range slices.Sorted(maps.Keys(devicePorts)) {
		d := connect(t, key, "user-of-"+node, devicePorts[node])
		devices = append(devices, d)
		for i, b := range []backend{one, two} {
			if got := b.reach(t, d, fmt.Sprintf("through allocator %d", i+1)); got != node {
				t.Errorf("%s was reached on %s", d.user, got)
			}
		}
	}
	r, err := two.Push(t.Context(), client.PushRequest{Broadcast: true, Content: []byte("to all"), Wait: 10 * time.Second})
	if err != nil || r.Deliveries[protocol.OutcomeSent] != len(devices)+1 {
		t.Errorf("the broadcast: %+v: %v", r, err)
	}
	for _, d := range devices {
		d.want(t, "to all")
	}
}

// again starts what runs already.
func again(t *testing.T, s *stack, token string) {
	before := s.containers(t)
	s.up(t)
	for name, c := range s.containers(t) {
		if name != "secrets" && c.State.StartedAt != before[name].State.StartedAt {
			t.Errorf("%s was started again", name)
		}
	}
	if s.secret(t, "api-token") != token {
		t.Error("there is another token")
	}
}

// kill ends the node of a device without a word, and lets it be dead until people hear of
// it.
func kill(t *testing.T, s *stack, d *device, b backend, g *group) string {
	node := b.reach(t, d, "before the crash")
	start := time.Now()
	s.compose(t, "kill", "-s", "SIGKILL", node)
	if other := b.reach(t, d, "after the crash"); other == node {
		t.Errorf("it was reached on %s, which is dead", node)
	}
	t.Logf("reached again %.1f s after %s was killed", time.Since(start).Seconds(), node)
	eventually(t, time.Minute, node+" is lost", func() error {
		if states := b.states(t); states[node] == "serving" {
			return fmt.Errorf("it is listed as serving")
		}
		return nil
	})
	g.hear(t, "FanfareNodeDown", node, false)
	t.Logf("people heard of it %.0f s after", time.Since(start).Seconds())
	s.compose(t, "start", node)
	s.waitHealthy(t)
	eventually(t, time.Minute, "all nodes serve again", func() error { return wantServing(b.states(t), 3) })
	return node
}

// stop ends the node of a device in order: it lets its devices go first.
func stop(t *testing.T, s *stack, d *device, b backend) string {
	node := b.reach(t, d, "before the stop")
	start := time.Now()
	s.compose(t, "stop", node)
	t.Logf("%s stopped within %.1f s", node, time.Since(start).Seconds())
	if log := s.compose(t, "logs", "--no-color", node); !strings.Contains(log, "node is drained") {
		t.Errorf("%s did not drain", node)
	}
	if c := s.containers(t)[node]; c.State.Status != "exited" || c.State.ExitCode != 0 {
		t.Errorf("%s is %s with exit code %d", node, c.State.Status, c.State.ExitCode)
	}
	if other := b.reach(t, d, "after the stop"); other == node {
		t.Errorf("it was reached on %s, which has stopped", node)
	}
	if states := b.states(t); states[node] == "serving" {
		t.Errorf("%s is listed as serving", node)
	}
	if err := wantServing(b.states(t), 2); err != nil {
		t.Error(err)
	}
	return node
}

func wantServing(states map[string]string, n int) error {
	serving := 0
	for _, state := range states {
		if state == "serving" {
			serving++
		}
	}
	if serving != n {
		return fmt.Errorf("%d of %d nodes serve: %v", serving, n, states)
	}
	return nil
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}
