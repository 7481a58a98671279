package cluster

import (
	"path"
	"reflect"
	"strings"
	"testing"
	"time"
)

// e makes an entry. owner is its session, created its age.
func testEntry(s service, owner, created int64, data string) entry {
	z, err := parseZnode([]byte(data))
	if err != nil {
		panic(err)
	}
	return entry{znode: z, service: s, name: serviceNames[s] + data, owner: owner, created: created}
}

// brief writes peers as "id gateway device websocket publicIP", a dash for nothing.
func brief(peers []Peer) string {
	var b strings.Builder
	for _, p := range peers {
		for _, f := range []string{p.ID, p.Gateway, p.Device, p.WebSocket, p.PublicIP} {
			if f == "" {
				f = "-"
			}
			b.WriteString(f + " ")
		}
		b.WriteString("\n")
	}
	return b.String()
}

const (
	javaGS = `{"host":"10.0.0.1","port":3001}`
	javaCS = `{"attrs":{"weight":3},"host":"203.0.113.1","port":3000}`
	javaWS = `{"host":"203.0.113.1","port":8008}`
	fanGS  = `{"attrs":{"fanfare_id":"node-1","fanfare_link":1,"fanfare_ws":"wss://push.example.com/"},"host":"10.0.0.1","port":3001}`
	fanCS  = `{"attrs":{"fanfare_id":"node-1","public_ip":"203.0.113.1","weight":1},"host":"10.0.0.1","port":3000}`
	fanWS  = `{"attrs":{"fanfare_id":"node-1"},"host":"10.0.0.1","port":8008}`
)

func TestMergePeers(t *testing.T) {
	gs, ws, cs := gatewayService, webSocketService, deviceService
	for _, c := range []struct {
		name    string
		entries []entry
		want    string
		hidden  int
	}{
		{"nothing", nil, "", 0},
		{"a Fanfare node", []entry{testEntry(cs, 1, 3, fanCS), testEntry(ws, 1, 2, fanWS), testEntry(gs, 1, 1, fanGS)},
			"node-1 10.0.0.1:3001 10.0.0.1:3000 wss://push.example.com/ - \n", 0},
		{"one that drains", []entry{testEntry(gs, 1, 1, fanGS)}, "node-1 10.0.0.1:3001 - - - \n", 0},
		{"devices before the gateway", []entry{testEntry(cs, 1, 1, fanCS)}, "", 0},
		{"entries of an earlier life", []entry{testEntry(gs, 1, 1, fanGS), testEntry(cs, 1, 2, fanCS), testEntry(gs, 2, 3, fanGS)},
			"node-1 10.0.0.1:3001 - - - \n", 0},
		{"a Java node with a public address", []entry{testEntry(gs, 1, 1, javaGS), testEntry(cs, 1, 2, javaCS), testEntry(ws, 1, 3, javaWS)},
			"10.0.0.1:3001 10.0.0.1:3001 203.0.113.1:3000 ws://203.0.113.1:8008/ 203.0.113.1 \n", 0},
		{"a Java node with public_ip", []entry{testEntry(cs, 1, 2, `{"attrs":{"public_ip":"198.51.100.1","weight":"2"},"host":"10.0.0.1","port":3000}`)},
			"198.51.100.1:3000 - 198.51.100.1:3000 - 198.51.100.1 \n", 0},
		{"two Java nodes on one host", []entry{
			testEntry(gs, 1, 1, javaGS), testEntry(cs, 1, 2, javaCS),
			testEntry(gs, 2, 3, `{"host":"10.0.0.1","port":3101}`), testEntry(cs, 2, 4, `{"host":"203.0.113.1","port":3100}`),
		}, "10.0.0.1:3001 10.0.0.1:3001 203.0.113.1:3000 - 203.0.113.1 \n10.0.0.1:3101 10.0.0.1:3101 203.0.113.1:3100 - 203.0.113.1 \n", 0},
		{"written by one hand, told apart by host", []entry{
			testEntry(gs, 0, 1, `{"host":"a","port":1}`), testEntry(cs, 0, 2, `{"host":"a","port":2}`),
			testEntry(gs, 0, 3, `{"host":"b","port":1}`), testEntry(cs, 0, 4, `{"host":"b","port":2}`),
		}, "a:1 a:1 a:2 - a \nb:1 b:1 b:2 - b \n", 0},
		{"written by one hand, not to be told apart", []entry{
			testEntry(gs, 5, 1, `{"host":"a","port":1}`), testEntry(cs, 5, 2, `{"host":"a","port":2}`),
			testEntry(gs, 5, 3, `{"host":"a","port":3}`), testEntry(cs, 5, 4, `{"host":"a","port":4}`),
		}, "a:1 a:1 - - - \na:2 - a:2 - a \na:3 a:3 - - - \na:4 - a:4 - a \n", 0},
		{"a Java node that was killed and came back", []entry{
			testEntry(gs, 1, 1, javaGS), testEntry(cs, 1, 2, javaCS), testEntry(gs, 2, 3, javaGS), testEntry(cs, 2, 4, javaCS),
		}, "10.0.0.1:3001 10.0.0.1:3001 203.0.113.1:3000 - 203.0.113.1 \n", 1},
		{"two Java nodes that take loopback for their address", []entry{
			testEntry(gs, 1, 1, `{"host":"127.0.0.1","port":3001}`), testEntry(cs, 1, 2, javaCS),
			testEntry(gs, 2, 3, `{"host":"127.0.0.1","port":3001}`), testEntry(cs, 2, 4, `{"host":"203.0.113.2","port":3000}`),
		}, "127.0.0.1:3001 127.0.0.1:3001 203.0.113.2:3000 - 203.0.113.2 \n203.0.113.1:3000 - 203.0.113.1:3000 - 203.0.113.1 \n", 1},
		{"a Fanfare node in place of a Java node", []entry{
			testEntry(gs, 1, 1, javaGS), testEntry(cs, 1, 2, `{"host":"10.0.0.1","port":3000}`),
			testEntry(gs, 2, 3, fanGS), testEntry(cs, 2, 4, fanCS),
		}, "node-1 10.0.0.1:3001 10.0.0.1:3000 - - \n", 1},
	} {
		peers, hidden := mergePeers(c.entries)
		if got := brief(peers); got != c.want {
			t.Errorf("%s:\ngot\n%swant\n%s", c.name, got, c.want)
		}
		if len(hidden) != c.hidden {
			t.Errorf("%s: hidden are %q, want %d", c.name, hidden, c.hidden)
		}
	}
}

func TestMergeFacts(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		attrs string
		want  Peer
	}{
		{`"fanfare_id":"n"`, Peer{Weight: 1, Link: 1, State: Serving, Since: since}},
		{`"fanfare_id":"n","fanfare_link":7,"fanfare_weight":4,"fanfare_state":"draining","fanfare_version":"v","fanfare_public_ip":"p","fanfare_ops":"h:1","fanfare_since":"2025-01-01T00:00:00.5+01:00"`,
			Peer{Weight: 4, Link: 7, State: Draining, Version: "v", PublicIP: "p", Ops: "h:1", Since: time.Date(2024, 12, 31, 23, 0, 0, 5e8, time.UTC)}},
		{`"fanfare_id":"n","fanfare_link":"x","fanfare_weight":-4,"fanfare_state":"lost","fanfare_version":1,"fanfare_public_ip":{},"fanfare_ops":"h,i","fanfare_since":"now"`,
			Peer{Weight: 1, Link: 1, State: Serving, Since: since}},
	} {
		e := testEntry(gatewayService, 1, 1, `{"attrs":{`+c.attrs+`},"host":"h","port":1}`)
		e.since = since
		c.want.ID, c.want.Gateway = "n", "h:1"
		peers, _ := mergePeers([]entry{e})
		if len(peers) != 1 || !samePeer(peers[0], c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.attrs, peers, c.want)
		}
	}
}

// The recording does not tell the sessions, so both nodes are told apart by nothing:
// even then the allocator gets both addresses.
func TestMergeRecordedNodes(t *testing.T) {
	recorded := make(map[string][]zkDump)
	readVectors(t, "zk-two-servers.json", &recorded)
	read := func(when string) []string {
		var entries []entry
		for i, n := range recorded[when] {
			z, err := parseZnode([]byte(n.Data))
			if err != nil {
				t.Fatal(err)
			}
			s := map[string]service{"gs": gatewayService, "ws": webSocketService, "cs": deviceService}[path.Base(path.Dir(n.Path))]
			entries = append(entries, entry{znode: z, service: s, name: path.Base(n.Path), created: int64(i)})
		}
		peers, _ := mergePeers(entries)
		var devices []string
		for _, p := range peers {
			if !p.Java() || p.State != Serving || p.Weight != 1 {
				t.Errorf("%+v", p)
			}
			devices = append(devices, p.Device)
		}
		return devices
	}
	if got := read("zk"); !reflect.DeepEqual(got, []string{"127.0.0.1:3000", "", "127.0.0.1:3100", ""}) {
		t.Errorf("devices of two nodes: %q", got)
	}
	if got := read("zk after S2 stop"); !reflect.DeepEqual(got, []string{"127.0.0.1:3000"}) {
		t.Errorf("devices of one node: %q", got)
	}
}
