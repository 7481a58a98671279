package cluster

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// zkDump is a node as the recordings of MPush show it.
type zkDump struct {
	Path      string `json:"path"`
	Data      string `json:"data"`
	Ephemeral bool   `json:"ephemeral"`
	ACL       []struct {
		Scheme string `json:"scheme"`
		ID     string `json:"id"`
		Perms  int32  `json:"perms"`
	} `json:"acl"`
}

// readVectors reads a file of testdata.
func readVectors(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// recordedZnodes are all nodes of the recordings that have data.
func recordedZnodes(t *testing.T) (nodes []zkDump) {
	t.Helper()
	var one struct{ Dumps map[string][]zkDump }
	readVectors(t, "zk.json", &one)
	two := make(map[string][]zkDump)
	readVectors(t, "zk-two-servers.json", &two)
	for _, dumps := range []map[string][]zkDump{one.Dumps, two} {
		for _, dump := range dumps {
			for _, n := range dump {
				if n.Data != "" {
					nodes = append(nodes, n)
				}
			}
		}
	}
	return nodes
}

func TestZnodesOfMPushComeBackAsTheyWere(t *testing.T) {
	nodes := recordedZnodes(t)
	if len(nodes) < 12 {
		t.Fatalf("only %d nodes in the recordings", len(nodes))
	}
	for _, n := range nodes {
		z, err := parseZnode([]byte(n.Data))
		if err != nil {
			t.Errorf("%s: %v", n.Path, err)
			continue
		}
		if got := string(z.encode()); got != n.Data {
			t.Errorf("%s:\ngot  %s\nwant %s", n.Path, got, n.Data)
		}
	}
}

func TestEncodePeer(t *testing.T) {
	full := testPeer("node-1", 0)
	draining := full
	draining.State, draining.Device, draining.WebSocket = Draining, "", ""
	six := Peer{ID: "<six>", Gateway: "[2001:db8::1]:3001", Device: "[2001:db8::1]:3000", WebSocket: "wss://push.example.com/a", PublicIP: "2001:db8::1"}
	for _, c := range []struct {
		name       string
		self       Peer
		gs, ws, cs string
	}{
		{
			"all facts", full,
			`{"attrs":{"fanfare_id":"node-1","fanfare_link":1,"fanfare_ops":"127.0.0.1:33000","fanfare_public_ip":"203.0.113.7",` +
				`"fanfare_since":"2026-11-22T01:02:03.000000004Z","fanfare_state":"serving","fanfare_version":"1.2.3","fanfare_weight":2,` +
				`"fanfare_ws":"ws://127.0.0.1:23000/"},"host":"127.0.0.1","port":3001}`,
			`{"attrs":{"fanfare_id":"node-1"},"host":"127.0.0.1","port":23000}`,
			`{"attrs":{"fanfare_id":"node-1","public_ip":"203.0.113.7","weight":2},"host":"127.0.0.1","port":13000}`,
		},
		{
			"draining", draining,
			`{"attrs":{"fanfare_id":"node-1","fanfare_link":1,"fanfare_ops":"127.0.0.1:33000","fanfare_public_ip":"203.0.113.7",` +
				`"fanfare_since":"2026-11-22T01:02:03.000000004Z","fanfare_state":"draining","fanfare_version":"1.2.3","fanfare_weight":2},` +
				`"host":"127.0.0.1","port":3001}`, "", "",
		},
		{
			"IPv6, a name, few facts", six,
			`{"attrs":{"fanfare_id":"<six>","fanfare_link":1,"fanfare_public_ip":"2001:db8::1","fanfare_state":"serving","fanfare_weight":1,"fanfare_ws":"wss://push.example.com/a"},"host":"2001:db8::1","port":3001}`,
			`{"attrs":{"fanfare_id":"<six>"},"host":"push.example.com","port":443}`,
			`{"attrs":{"fanfare_id":"<six>","weight":1},"host":"2001:db8::1","port":3000}`,
		},
	} {
		got, err := encodePeer(complete(c.self))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for s, want := range map[service]string{gatewayService: c.gs, webSocketService: c.ws, deviceService: c.cs} {
			if string(got[s]) != want {
				t.Errorf("%s, %s:\ngot  %s\nwant %s", c.name, serviceNames[s], got[s], want)
			}
		}
	}
}

func TestEncodePeerNamesTheFault(t *testing.T) {
	for _, c := range []struct {
		change func(*Peer)
		want   string
	}{
		{func(p *Peer) { p.ID = "" }, "node.id is empty"},
		{func(p *Peer) { p.Gateway = "" }, "node.advertise.gateway"},
		{func(p *Peer) { p.Gateway = "10.0.0.1" }, "node.advertise.gateway"},
		{func(p *Peer) { p.Gateway = "10.0.0.1:0" }, "port between 1 and 65535"},
		{func(p *Peer) { p.Gateway = ":3001" }, "no host"},
		{func(p *Peer) { p.Device = "a b:3000" }, "node.advertise.device"},
		{func(p *Peer) { p.Device = "a:65536" }, "node.advertise.device"},
		{func(p *Peer) { p.WebSocket = "http://a/" }, "node.advertise.websocket"},
		{func(p *Peer) { p.WebSocket = "ws:///" }, "node.advertise.websocket"},
		{func(p *Peer) { p.WebSocket = "ws://a:0/" }, "node.advertise.websocket"},
		{func(p *Peer) { p.PublicIP = "1.2.3.4,5.6.7.8" }, "public address"},
	} {
		p := testPeer("node-1", 0)
		c.change(&p)
		if _, err := encodePeer(p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", p, err, c.want)
		}
	}
}

func TestParseZnodeTakesWhatPeopleWrite(t *testing.T) {
	for _, c := range []struct{ data, address string }{
		{`{"port":3001,"host":"10.0.0.1"}`, "10.0.0.1:3001"},
		{` {"host":"push.example.com","port":"3001","more":[1,{"a":2}],"attrs":null} `, "push.example.com:3001"},
		{`{"host":"2001:db8::1","port":3e3}`, "[2001:db8::1]:3000"},
		{`{"host":"[::1]","port":65535,"attrs":{}}`, "[::1]:65535"},
	} {
		z, err := parseZnode([]byte(c.data))
		if err != nil || z.address() != c.address {
			t.Errorf("%s: %s, %v; want %s", c.data, z.address(), err, c.address)
		}
	}
}

// unreadable are data that no node can have, with a part of what is said about them.
var unreadable = []struct{ data, want string }{
	{"", "empty"},
	{" ", "not the JSON"},
	{"127.0.0.1:3000", "not the JSON"},
	{`["127.0.0.1",3000]`, "not the JSON"},
	{`{"host":"127.0.0.1","port":3000`, "not the JSON"},
	{`{"host":"127.0.0.1","port":3000}{}`, "follows"},
	{`null`, "port"},
	{`{"host":"127.0.0.1"}`, "port"},
	{`{"host":"127.0.0.1","port":0}`, "port"},
	{`{"host":"127.0.0.1","port":65536}`, "port"},
	{`{"host":"127.0.0.1","port":-1}`, "port"},
	{`{"host":"127.0.0.1","port":3000.5}`, "port"},
	{`{"host":"127.0.0.1","port":1e300}`, "port"},
	{`{"host":"127.0.0.1","port":1e999}`, "port"},
	{`{"host":"127.0.0.1","port":true}`, "port"},
	{`{"host":"127.0.0.1","port":"x"}`, "port"},
	{`{"port":3000}`, "host"},
	{`{"host":3,"port":3000}`, "not the JSON"},
	{`{"host":"a,b","port":3000}`, "host"},
	{`{"host":"a b","port":3000}`, "host"},
	{`{"host":"a\nb","port":3000}`, "host"},
	{`{"host":"","port":3000}`, "host"},
	{`{"host":"127.0.0.1","port":3000,"attrs":[]}`, "not the JSON"},
	{`{"host":"` + strings.Repeat("h", 256) + `","port":3000}`, "host"},
	{`{"host":"127.0.0.1","port":3000,"x":"` + strings.Repeat("x", maxZnode) + `"}`, "bytes"},
	{strings.Repeat(`{"a":`, 12000), "not the JSON"},
}

func TestParseZnodeRefuses(t *testing.T) {
	for _, c := range unreadable {
		_, err := parseZnode([]byte(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: error %v, want one with %q", c.data, err, c.want)
		}
	}
}

func FuzzParseZnode(f *testing.F) {
	for _, c := range unreadable {
		f.Add([]byte(c.data))
	}
	f.Add([]byte(`{"attrs":{"fanfare_id":"n","fanfare_since":"x","weight":"2"},"host":"127.0.0.1","port":3000}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		z, err := parseZnode(data)
		if err != nil {
			return
		}
		again, err := parseZnode(z.encode())
		if err != nil || again.address() != z.address() {
			t.Errorf("%s comes back as %s, %v", z.address(), again.address(), err)
		}
		for s := range service(numServices) {
			mergePeers([]entry{{znode: z, service: s, name: "n", owner: 1}})
		}
	})
}

func TestPathsOfZooKeeper(t *testing.T) {
	p := zkPaths{"mpush"}
	for id, want := range map[string]string{
		"node-1": "node-1", "a/b": "a%2Fb", ".": "%2E", "..": "%2E%2E", "a..b": "a..b", "节点": "%E8%8A%82%E7%82%B9", "a\x00b": "a%00b",
	} {
		if got := p.claim(id); got != "/mpush/fanfare/nodes/"+want {
			t.Errorf("claim of %q is %s", id, got)
		}
	}
	seen := make(map[string]bool)
	for range 100 {
		u := randomUUID()
		if len(u) != 36 || u[14] != '4' || !strings.Contains("89ab", u[19:20]) || seen[u] {
			t.Errorf("%q is not a new UUID of version 4", u)
		}
		seen[u] = true
	}
}
