package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// Check 20: a session is resumed on another node, also one that MPush wrote.
func TestCompatResumeOnAnotherNode(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	sessions := new(client.MemorySessions)
	keep := func(o *client.DeviceOptions) { o.SessionStore = sessions }
	first := c.Members[0].Dial(t, "phone", "alice", keep)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if second := c.Members[1].Dial(t, "phone", "alice", keep); !second.Resumed() {
		t.Error("the session of node-1 was not resumed on node-2")
	}
	key := "mp:rs:" + first.Session().ID
	if text := c.Redis.Text("GET", key); !strings.HasPrefix(text, "android,12,1.0,phone,") || strings.Count(text, "|") != 30 {
		t.Errorf("the session is kept as %q", text)
	}
	if ttl, _ := strconv.Atoi(fmt.Sprint(c.Redis.Do("TTL", key))); ttl < 86_000 || ttl > 86_400 {
		t.Errorf("for %d s, want a day", ttl)
	}
	// The same session as a Java node writes it, under another id.
	c.Redis.Do("SET", "mp:rs:00112233445566778899aabbccddeeff", c.Redis.Text("GET", key), "EX", "60")
	java := first.Session()
	java.ID = "00112233445566778899aabbccddeeff"
	stored := new(client.MemorySessions)
	if err := stored.SaveSession(java); err != nil {
		t.Fatal(err)
	}
	if third := c.Members[0].Dial(t, "phone", "alice", func(o *client.DeviceOptions) { o.SessionStore = stored }); !third.Resumed() {
		t.Error("a session that MPush wrote was not resumed")
	}
}

// Checks 24 and 27, the part in Redis: route, online list and events.
func TestCompatRouteInRedis(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 1)
	m := c.Members[0]
	events := subscribe(t, c.Redis, "/mpush/online/", "/mpush/offline/")
	conn := m.Dial(t, "dev1", "alice")
	events.want("/mpush/online/", "alice")
	host, port, err := net.SplitHostPort(m.Info().Gateway)
	if err != nil {
		t.Fatal(err)
	}
	id := m.Node.Node.Devices("alice")[0].Connection
	java := fmt.Sprintf(`{"port":%s,"host":%q,"deviceId":"dev1","osName":"android","clientVersion":"1.0","connId":%q`, port, host, id)
	if got := c.Redis.Text("HGET", "mp:ur:alice", "1"); !strings.HasPrefix(got, java) || !json.Valid([]byte(got)) {
		t.Errorf("route %s, want it to begin with MPush's %s", got, java)
	}
	if got := c.Redis.Text("ZSCORE", "mp:oul:127.0.1.1", "alice"); got != "0" {
		t.Errorf("score on the online list %q", got)
	}
	if err := conn.Unbind(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	events.want("/mpush/offline/", "alice")
	if got := c.Redis.Text("HGET", "mp:ur:alice", "1"); !strings.HasPrefix(got, java[:strings.Index(java, `,"connId"`)]) || strings.Contains(got, "connId") {
		t.Errorf("offline route %s", got)
	}
	if got := fmt.Sprint(c.Redis.Do("ZCARD", "mp:oul:127.0.1.1")); got != "0" {
		t.Errorf("%s users on the online list", got)
	}
}

// Check 34: kicks to and from a Java node, which is played by the test: it has a route
// and a channel.
func TestCompatKickAcrossNodes(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 1, func(_ int, o *server.Options) { o.KickGrace = time.Hour })
	m := c.Members[0]
	c.Redis.Do("HSET", "mp:ur:alice", "1", `{"port":3101,"host":"10.9.8.7","deviceId":"dB","osName":"android","clientVersion":"1.0.0","connId":"16e5ed65"}`)
	java := subscribe(t, c.Redis, "/mpush/kick/10.9.8.7:3101")
	phone := m.Dial(t, "dA", "alice")
	java.want("/mpush/kick/10.9.8.7:3101", `{"clientType":1,"connId":"16e5ed65","deviceId":"dB","targetPort":3101,"targetServer":"10.9.8.7","userId":"alice"}`)

	host, port, err := net.SplitHostPort(m.Info().Gateway)
	if err != nil {
		t.Fatal(err)
	}
	id := m.Node.Node.Devices("alice")[0].Connection
	kick := func(connection string) {
		text := fmt.Sprintf(`{"clientType":1,"connId":%q,"deviceId":"dA","targetPort":%s,"targetServer":%q,"userId":"alice"}`, connection, port, host)
		if heard := fmt.Sprint(c.Redis.Do("PUBLISH", "/mpush/kick/"+m.Info().Gateway, text)); heard != "1" {
			t.Errorf("%s heard the kick", heard)
		}
	}
	kick("0000000000000000") // of another connection: nothing happens
	// The Java node takes the user over: its route, then its kick.
	c.Redis.Do("HSET", "mp:ur:alice", "1", `{"port":3101,"host":"10.9.8.7","deviceId":"dC","osName":"android","clientVersion":"1.0.0","connId":"26e5ed66"}`)
	kick(id)
	p, err := phone.Receive(t.Context())
	var said protocol.Kick
	if err != nil || p.Command != protocol.CmdKick || p.SessionID != 0 || p.Unmarshal(&said) != nil || said != (protocol.Kick{DeviceID: "dA", UserID: "alice"}) {
		t.Errorf("the device got %v %+v, %v", p.Command, said, err)
	}
	servertest.Eventually(t, "nothing reaches the kicked device", func() bool { return len(m.Node.Node.Devices("alice")) == 0 })
	if got := c.Redis.Text("HGET", "mp:ur:alice", "1"); !strings.Contains(got, "26e5ed66") {
		t.Errorf("the Java node's route became %s", got)
	}
	if err := phone.Unbind(t.Context(), "alice"); err != nil { // as the Android service does
		t.Errorf("unbind after the kick: %v", err)
	}
}

// Check 51: a task is cancelled in Redis before it starts, and counted there.
func TestCompatTaskInRedis(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 1)
	m := c.Members[0]
	for i := range 3 {
		m.Dial(t, fmt.Sprint("phone-", i), fmt.Sprint("user-", i))
	}
	cast := func(task string) cluster.Result {
		return servertest.Outcome(t, m.Send(t, cluster.Push{ID: "cast-" + task, Content: []byte("x"), Task: task}, ""))
	}
	c.Redis.Do("HSET", "mp:ptT1", "q", "1000", "c", "1")
	if r := cast("T1"); r.Deliveries[protocol.OutcomeSent] != 0 || r.Deliveries[protocol.OutcomeRejected] != 3 {
		t.Errorf("a cancelled task: %+v", r)
	}
	if r := cast("T2"); r.Deliveries[protocol.OutcomeSent] != 3 {
		t.Errorf("a task: %+v", r)
	}
	servertest.Eventually(t, "three are counted and listed", func() bool {
		return c.Redis.Text("HGET", "mp:ptT2", "sc") == "3" && fmt.Sprint(c.Redis.Do("LLEN", "T2:sui")) == "3"
	})
}

// listener hears channels of Redis as any program would.
type listener struct {
	t        *testing.T
	messages <-chan *redis.Message
}

func subscribe(t *testing.T, r *backing.Redis, channels ...string) *listener {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr})
	sub := rdb.Subscribe(t.Context(), channels...)
	t.Cleanup(func() { _ = sub.Close(); _ = rdb.Close() })
	for range channels {
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return &listener{t, sub.Channel()}
}

func (l *listener) want(channel, text string) {
	l.t.Helper()
	select {
	case got := <-l.messages:
		if got.Channel != channel || got.Payload != text {
			l.t.Errorf("heard %q on %s, want %q on %s", got.Payload, got.Channel, text, channel)
		}
	case <-time.After(20 * time.Second):
		l.t.Errorf("nothing was heard on %s", channel)
	}
}
