package alloc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// targetsOf is "target=role/node/state" of each group.
func targetsOf(r *rig, query string, headers ...string) string {
	r.t.Helper()
	var groups []targetGroup
	if err := json.Unmarshal([]byte(r.text(r.do("GET", "/sd/prometheus"+query, "", headers...), 200)), &groups); err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, g := range groups {
		if len(g.Targets) != 1 {
			r.t.Errorf("targets %v", g.Targets)
		}
		all = append(all, fmt.Sprintf("%s=%s/%s/%s", g.Targets[0],
			g.Labels["__meta_fanfare_role"], g.Labels["__meta_fanfare_node"], g.Labels["__meta_fanfare_state"]))
	}
	return strings.Join(all, " ")
}

func TestAllocatorListsItself(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ListSelf, o.ID = true, "alloc-1" }, newNode("n1"))
	for host, want := range map[string]string{
		"alloc-1:9999": "alloc-1:9999", "alloc-1": "alloc-1:80", "[::1]": "[::1]:80", "[::1]:9999": "[::1]:9999",
	} {
		same(t, host, targetsOf(r, "", "Host", host), "n1.example:9310=node/n1/serving "+want+"=allocator//serving")
	}
	same(t, "as the document has it", strings.Contains(r.text(r.do("GET", "/sd/prometheus", "", "Host", "h:1"), 200),
		`{"targets":["h:1"],"labels":{"__meta_fanfare_allocator":"alloc-1","__meta_fanfare_role":"allocator","__meta_fanfare_state":"serving","__meta_fanfare_version":"test"}}`), true)
	same(t, "no port of its to probe", targetsOf(r, "?port=device"), "n1.example:3000=node/n1/serving")
	r.roster.forget() // a list with the allocator alone would take all nodes away
	r.refused(r.do("GET", "/sd/prometheus", ""), 503, "membership_unknown", "")
}

func TestAllocatorListsWhatItIsTold(t *testing.T) {
	r := newRig(t, func(o *Options) { o.ListSelf, o.Advertise = true, "10.0.0.9:9999" })
	same(t, "advertised", targetsOf(r, "", "Host", "elsewhere:1"), "10.0.0.9:9999=allocator//serving")
}

func TestPortsToProbe(t *testing.T) {
	draining := newNode("n2").set(func(i *cluster.Info) { i.State = cluster.Draining })
	lost := newNode("n3").set(func(i *cluster.Info) { i.State, i.WebSocket = cluster.Lost, "wss://n3.example/" })
	plain := newNode("n1").set(func(i *cluster.Info) { i.WebSocket, i.Ops = "ws://n1.example:8008/push", "" })
	r := newRig(t, nil, plain, draining, lost, javaNode("j"))
	for port, want := range map[string]string{
		"device":    "j.example:3000=node/j/serving n1.example:3000=node/n1/serving n3.example:3000=node/n3/lost",
		"websocket": "n1.example:8008=node/n1/serving n3.example:443=node/n3/lost",
		"gateway": "j.example:3001=node/j/serving n1.example:3001=node/n1/serving n2.example:3001=node/n2/draining " +
			"n3.example:3001=node/n3/lost",
	} {
		same(t, port, targetsOf(r, "?port="+port), want)
	}
	same(t, "to scrape", targetsOf(r, ""), "n2.example:9310=node/n2/draining n3.example:9310=node/n3/lost")
	for _, bad := range []string{"ops", "", "3000", "%00", strings.Repeat("x", 1000)} {
		r.refused(r.do("GET", "/sd/prometheus?port="+bad, ""), 400, "invalid_port", "port")
	}
}

// TestLostPortOfAnother: another node has the address for devices by now, but not the others.
func TestLostPortOfAnother(t *testing.T) {
	lost := newNode("n1").set(func(i *cluster.Info) { i.State = cluster.Lost })
	heir := newNode("n2").set(func(i *cluster.Info) { i.Device = "n1.example:3000" })
	r := newRig(t, nil, lost, heir)
	same(t, "device", targetsOf(r, "?port=device"), "n1.example:3000=node/n2/serving")
	same(t, "gateway", targetsOf(r, "?port=gateway"), "n1.example:3001=node/n1/lost n2.example:3001=node/n2/serving")
}

// shownTargets is "id=state" of each target among the nodes.
func shownTargets(nodes ...cluster.Info) string {
	names := []string{}
	for _, i := range targets(nodes, opsPort) {
		names = append(names, i.ID+"="+string(i.State))
	}
	return strings.Join(names, " ")
}

func TestTargetsAreThoseOfTheMembership(t *testing.T) {
	info := func(id string, s cluster.State) cluster.Info {
		return cluster.Info{ID: id, Ops: id + ":9310", State: s}
	}
	same(t, "by id", shownTargets(info("b", cluster.Serving), info("a", cluster.Draining)), "a=draining b=serving")
	same(t, "a lost one stays", shownTargets(info("a", cluster.Lost), info("b", cluster.Serving)), "a=lost b=serving")
	same(t, "none", shownTargets(), "")
	silent := info("s", cluster.Serving)
	silent.Ops = ""
	same(t, "one without metrics", shownTargets(silent), "")

	// A process that was replaced is not up again under its old name.
	old, heir := info("old", cluster.Lost), info("new", cluster.Serving)
	heir.Ops = old.Ops
	same(t, "replaced", shownTargets(old, heir), "new=serving")
	heir.State = cluster.Lost
	same(t, "both lost", shownTargets(old, heir), "new=lost old=lost")
}

func TestDiscoveryForPrometheus(t *testing.T) {
	n1 := newNode("n1")
	r := newRig(t, nil, n1, newNode("n2").set(func(i *cluster.Info) { i.Ops = "" }))
	group := func(state string) string {
		return `[{"targets":["n1.example:9310"],"labels":{"__meta_fanfare_node":"n1","__meta_fanfare_role":"node","__meta_fanfare_state":"` + state +
			`","__meta_fanfare_version":"1.2.3","node":"n1"}}]` + "\n"
	}
	get := func() string {
		t.Helper()
		res := r.do("GET", "/sd/prometheus", "")
		if kind := res.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("content type %q", kind)
		}
		return r.text(res, 200)
	}
	same(t, "serving", get(), group("serving"))
	r.roster.forget()
	r.refused(r.do("GET", "/sd/prometheus", ""), 503, "membership_unknown", "")
	r.roster.set(n1.set(func(i *cluster.Info) { i.State = cluster.Lost }))
	same(t, "lost", get(), group("lost"))
	r.roster.set()
	same(t, "nothing", get(), "[]\n")
}
