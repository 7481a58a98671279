package compose

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheus is where one of them is published.
type prometheus string

const (
	leader    prometheus = "http://127.0.0.1:9090"
	follower1 prometheus = "http://127.0.0.1:9099"
	follower2 prometheus = "http://127.0.0.1:9098"
)

// ask decodes the data of an answer.
func (p prometheus) ask(t *testing.T, path string, data any) error {
	t.Helper()
	status, body := get(t, string(p)+path)
	answer := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s: %v", p, status, body, err)
	}
	return nil
}

// value is the sum of what an expression yields; an error if that is nothing.
func (p prometheus) value(t *testing.T, expression string) (sum float64, err error) {
	t.Helper()
	var data struct{ Result []struct{ Value [2]any } }
	if err := p.ask(t, "/api/v1/query?query="+url.QueryEscape(expression), &data); err != nil {
		return 0, err
	}
	if len(data.Result) == 0 {
		return 0, fmt.Errorf("%s yields nothing", expression)
	}
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// wantAbove waits until an expression yields more than least.
func (p prometheus) wantAbove(t *testing.T, least float64, expression string) {
	t.Helper()
	eventually(t, 2*time.Minute, string(p)+" has "+expression, func() error {
		v, err := p.value(t, expression)
		if err == nil && !(v > least) {
			err = fmt.Errorf("it is %v, want more than %v", v, least)
		}
		return err
	})
}

// targets are what a Prometheus scrapes: by job how many, and those that are not up.
func (p prometheus) targets(t *testing.T) (jobs map[string]int, down []string, err error) {
	t.Helper()
	var data struct {
		ActiveTargets []struct {
			Labels            map[string]string
			Health, LastError string
		}
	}
	if err := p.ask(t, "/api/v1/targets?state=active", &data); err != nil {
		return nil, nil, err
	}
	jobs = map[string]int{}
	for _, target := range data.ActiveTargets {
		job := target.Labels["job"]
		if job == "grafana" && !realImages() {
			continue
		}
		jobs[job]++
		if target.Health != "up" {
			down = append(down, fmt.Sprintf("%s %s is %s: %s", job, target.Labels["instance"], target.Health, target.LastError))
		}
	}
	slices.Sort(down)
	return jobs, down, nil
}

// wantTargets waits until all targets are up and there are as many as the jobs should
// have.
func (p prometheus) wantTargets(t *testing.T, want map[string]int) {
	t.Helper()
	eventually(t, 2*time.Minute, "all targets of "+string(p)+" are up", func() error {
		jobs, down, err := p.targets(t)
		if err != nil {
			return err
		}
		for job, n := range want {
			if jobs[job] != n {
				down = append(down, fmt.Sprintf("the job %s has %d targets, want %d", job, jobs[job], n))
			}
		}
		if len(down) > 0 {
			return fmt.Errorf("%s", strings.Join(down, "; "))
		}
		return nil
	})
}

// watched follows what just happened from the nodes to the leader.
func watched(t *testing.T) {
	start := time.Now()
	follower1.wantTargets(t, map[string]int{"fanfare-node": 3, "fanfare-alloc": 2})
	follower2.wantTargets(t, map[string]int{
		"host": 1, "redis": 1, "dingtalk": 1, "alertmanager": 2, "prometheus": 5, "blackbox": 1,
		"blackbox-device": 3, "blackbox-websocket": 3, "blackbox-gateway": 3, "blackbox-allocator": 2, "blackbox-redis": 1, "blackbox-zookeeper": 1,
	})
	leader.wantTargets(t, map[string]int{"federate": 4})
	t.Logf("all targets are up %.0f s after the pushes", time.Since(start).Seconds())
	follower1.wantAbove(t, 5, `fanfare_messages_total{outcome="acked"}`) // every user was reached through both allocators
	follower2.wantAbove(t, 0, `min(probe_success)`)
	leader.wantAbove(t, 0, `global:fanfare_connections:sum`)
	leader.wantAbove(t, 2, `global:fanfare_cluster_nodes:max{state="serving"}`)
	leader.wantAbove(t, 0, `min(global:probe_success:min)`)
	t.Logf("the leader knows of it after %.0f s", time.Since(start).Seconds())
	if _, body := get(t, "http://127.0.0.1:9093/api/v2/status"); strings.Count(body, `"address"`) != 2 {
		t.Errorf("the Alertmanagers do not know each other: %s", body)
	}
}

// loadIsSeen checks that what the dashboards show moves under the load, that the replicas
// count nothing twice, and what all that takes.
func loadIsSeen(t *testing.T, s *stack) {
	for _, expression := range []string{
		`global:fanfare_messages:rate5m{outcome="acked"}`, `global:fanfare_messages:rate5m{outcome="sent"}`,
		`global:fanfare_messages:rate5m{outcome="offline"}`, `global:fanfare_messages_accepted:rate5m{kind="broadcast"}`,
		`global:fanfare_deliveries:rate5m{outcome="filtered"}`,
		`global:fanfare_connections_opened:rate5m`, `global:fanfare_connections_closed:rate5m`,
		`global:fanfare_handshakes:rate5m{kind="full"}`, `global:fanfare_handshakes:rate5m{kind="fast"}`,
		`global:fanfare_bound_connections:sum{client_type="mobile"}`, `global:fanfare_bound_connections:sum{client_type="pc"}`,
		`global:fanfare_bound_connections:sum{client_type="web"}`,
		`global:fanfare_delivery_duration_seconds_count:rate5m`, `global:fanfare_stage_duration_seconds_bucket:rate5m`,
		`global:fanfare_store_duration_seconds_count:rate5m`,
	} {
		leader.wantAbove(t, 0, expression)
	}
	eventually(t, time.Minute, "the leader counts each connection once", func() error {
		all, err := leader.value(t, `sum(global:fanfare_connections:sum)`)
		if err == nil && (all < 150 || all > 300) {
			err = fmt.Errorf("%v connections, of about 200 devices", all)
		}
		return err
	})
	s.showMemory(t)
	_, alerts := get(t, "http://127.0.0.1:9093/api/v2/alerts?active=true")
	t.Logf("active alerts: %s", alerts)
}
