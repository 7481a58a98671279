package store

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// overhear collects what is published, as "channel message".
func overhear(t testing.TB, server *backing.Redis) func(want ...string) {
	t.Helper()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}})
	sub := s.client.PSubscribe(t.Context(), "*")
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func(want ...string) {
		t.Helper()
		server.Do("PUBLISH", "end", "end")
		var got []string
		for {
			m, err := sub.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Channel == "end" {
				break
			}
			got = append(got, m.Channel+" "+m.Payload)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("published %q, want %q", got, want)
		}
	}
}

func hash(t testing.TB, server *backing.Redis, key string) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	flat, _ := server.Do("HGETALL", key).([]any)
	for i := 1; i < len(flat); i += 2 {
		fields[flat[i-1].(string)] = flat[i].(string)
	}
	return fields
}

// TestLayoutIsMPushs walks through MPush's recorded moments of binding, a second
// client type, unbinding and a user who comes back.
func TestLayoutIsMPushs(t *testing.T) {
	server := backing.StartRedis(t)
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: newClock().Now})
	published := overhear(t, server)
	phone := Route{Address: "127.0.0.1:3001", DeviceID: "d/1", OSName: "android", ClientVersion: "2.0", ClientType: protocol.ClientMobile, Connection: "c1"}
	pc := Route{Address: "127.0.0.1:3001", DeviceID: "d3", OSName: "windows", ClientVersion: "2.0", ClientType: protocol.ClientPC, Connection: "c3"}
	const since = `,"since":1767323045000}`
	online := `{"port":3001,"host":"127.0.0.1","deviceId":"d/1","osName":"android","clientVersion":"2.0","connId":"c1"` + since
	offline := strings.Replace(online, `,"connId":"c1"`, "", 1)
	desktop := `{"port":3001,"host":"127.0.0.1","deviceId":"d3","osName":"windows","clientVersion":"2.0","connId":"c3"` + since
	check := func(routes map[string]string, listed string) {
		t.Helper()
		if got := hash(t, server, "mp:ur:u"); !maps.Equal(got, routes) {
			t.Errorf("got  %v\nwant %v", got, routes)
		}
		if got := fmt.Sprint(server.Do("ZRANGE", "mp:oul:127.0.0.1", "0", "-1", "WITHSCORES")); got != listed {
			t.Errorf("online list %s, want %s", got, listed)
		}
	}
	drop := func(r Route) {
		t.Helper()
		if ok, err := s.DropRoute(t.Context(), "u", r); err != nil || !ok {
			t.Error(ok, err)
		}
	}
	mustPut(t, s, "u", phone)
	check(map[string]string{"1": online}, "[u 0]")
	published("/mpush/online/ u")
	mustPut(t, s, "u", pc)
	check(map[string]string{"1": online, "2": desktop}, "[u 0]")
	published("/mpush/online/ u")
	drop(phone)
	check(map[string]string{"1": offline, "2": desktop}, "[u 0]")
	published() // the user is online still
	drop(pc)
	check(map[string]string{"1": offline, "2": strings.Replace(desktop, `,"connId":"c3"`, "", 1)}, "[]")
	published("/mpush/offline/ u")
	if ttl := server.Text("TTL", "mp:ur:u"); ttl != "-1" {
		t.Errorf("routes expire in %s s", ttl)
	}
	mustKick(t, s, Kick{User: "u", DeviceID: "dB", Connection: "16e5ed65", ClientType: protocol.ClientMobile, Address: "127.0.0.1:3101"})
	published(`/mpush/kick/127.0.0.1:3101 {"clientType":1,"connId":"16e5ed65","deviceId":"dB","targetPort":3101,"targetServer":"127.0.0.1","userId":"u"}`)
	mustRestore(t, s, UserRoute{"u", phone})
	published()
	check(map[string]string{"1": online, "2": strings.Replace(desktop, `,"connId":"c3"`, "", 1)}, "[u 0]")
	// Back ends hear nothing of a node's own user.
	mustPut(t, s, protocol.CanaryUser("node-1"), pc)
	if ok, err := s.DropRoute(t.Context(), protocol.CanaryUser("node-1"), pc); err != nil || !ok {
		t.Error(ok, err)
	}
	published()
	check(map[string]string{"1": online, "2": strings.Replace(desktop, `,"connId":"c3"`, "", 1)}, "[u 0]")
}

// An offline text is written by Lua, an online one by Go.
func TestBothWritersAgree(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	for _, device := range []string{"plain", "sl/as\\h\\/", `quo"te`, "设备 é", "tab\there\n\r\b\f\x00\x7f", "</script>", "", "\u2028", "\\u0041"} {
		r := on(c, "10.0.0.1", "c1")
		r.DeviceID, r.PublicIP, r.OSVersion = device, "203.0.113.1", device
		mustPut(t, s, "u", r)
		c.advance(time.Second)
		if ok, err := s.DropRoute(t.Context(), "u", r); !ok || err != nil {
			t.Fatal(ok, err)
		}
		wantRoutes(t, s, "u", gone(c, r))
		got := hash(t, server, "mp:ur:u")["1"]
		if want := string(appendRouteJSON(nil, gone(c, r))); got != want && !strings.ContainsAny(device, "\b\f\n\r\t\x7f") {
			t.Errorf("Lua wrote %s\nGo writes %s", got, want)
		}
	}
}

// TestJavaRoutes reads, replaces, drops and restores over routes of a Java node.
func TestJavaRoutes(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	java := `{"port":3999,"host":"127.0.0.9","deviceId":"rz-remote-dev","osName":"android","clientVersion":"2.0","connId":"abcd1234"}`
	want := Route{
		Address: "127.0.0.9:3999", DeviceID: "rz-remote-dev", OSName: "android", ClientVersion: "2.0", Connection: "abcd1234",
		ClientType: protocol.ClientMobile, Online: true,
	}
	reset := func() { server.Do("HSET", "mp:ur:u", "1", java) }
	reset()
	wantRoutes(t, s, "u", want)
	if old, had := mustPut(t, s, "u", testRoute(c, "c1")); !had || old != want {
		t.Errorf("replaced %+v, %v", old, had)
	}
	reset()
	if taken := mustRestore(t, s, UserRoute{"u", testRoute(c, "c1")}); taken[0] != want {
		t.Errorf("a route that can only be newer was overwritten: %+v", taken)
	}
	wantDrop(t, s, "u", protocol.ClientMobile, "abcd1235", false)
	wantDrop(t, s, "u", protocol.ClientMobile, "abcd1234", true)
	want = gone(c, want)
	wantRoutes(t, s, "u", want)
	if taken := mustRestore(t, s, UserRoute{"u", testRoute(c, "c1")}); len(taken) != 0 {
		t.Error(taken)
	}
}

func TestSessionKeys(t *testing.T) {
	server := backing.StartRedis(t)
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}})
	v := Session{OSName: "android", DeviceID: "d", Key: testKey(), Expires: time.Now().Add(24 * time.Hour)}
	mustSave(t, s, testID, v)
	if got := server.Text("GET", "mp:rs:"+testID); got != "android,null,null,d,"+testKeyText {
		t.Error(got)
	}
	ttl := func() time.Duration {
		ms, err := strconv.ParseInt(server.Text("PTTL", "mp:rs:"+testID), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	before := ttl()
	if off := 24*time.Hour - before; off < 0 || off > time.Minute {
		t.Errorf("expires in %v", before)
	}
	wantSession(t, s, testID, v, true)
	if ttl() > before {
		t.Error("resuming prolonged the session")
	}
	v.Expires = time.Now().Add(50 * time.Millisecond)
	mustSave(t, s, testID, v)
	eventually(t, "the session ends", func() bool {
		_, found, err := s.LoadSession(t.Context(), testID)
		return err == nil && !found
	})
	mustSave(t, s, testID, v) // over already
	if n := server.Text("EXISTS", "mp:rs:"+testID); n != "0" {
		t.Error("an expired session was kept")
	}
	// A Java node writes the expiry with a command of its own.
	java := mpush(t).Sessions[0]
	server.Do("SET", "mp:rs:java", java)
	got, found, err := s.LoadSession(t.Context(), "java")
	if err != nil || !found || time.Until(got.Expires) < 23*time.Hour {
		t.Errorf("%+v, %v, %v", got, found, err)
	}
}

func TestTaskKeys(t *testing.T) {
	server := backing.StartRedis(t)
	logged := new(lockedBuffer)
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Metrics: metrics, Logger: logTo(logged)})
	for i, test := range []struct {
		fields []string
		want   TaskState
	}{
		{[]string{"q", "7", "c", "0", "sc", "3"}, TaskState{Rate: 7, Sent: 5}},
		{[]string{"q", "7", "c", "1"}, TaskState{Rate: 7, Cancelled: true, Sent: 2}},
		{[]string{"c", "true", "d", "false"}, TaskState{Rate: DefaultTaskRate, Cancelled: true, Sent: 2}},
		{[]string{"q", "0"}, TaskState{Rate: 1, Sent: 2}},
		{[]string{"q", "fast", "sc", "many"}, TaskState{Rate: DefaultTaskRate}},
	} {
		id := fmt.Sprint("t", i)
		server.Do(append([]string{"HSET", "mp:pt" + id}, test.fields...)...)
		if got, err := s.Task(t.Context(), id, 2); err != nil || got != test.want {
			t.Errorf("%v: %+v, %v; want %+v", test.fields, got, err, test.want)
		}
	}
	server.Do("SET", "mp:ptforeign", "x")
	if got, err := s.Task(t.Context(), "foreign", 2); err != nil || got != (TaskState{Rate: DefaultTaskRate}) {
		t.Errorf("%+v, %v", got, err)
	}
	if n := testutil.ToFloat64(metrics.StoreUnreadable(exporter.ValueTask)); n < 2 {
		t.Errorf("%v unreadable tasks", n)
	}
	if _, err := s.Task(t.Context(), "unknown", 0); err != nil {
		t.Error(err)
	}
	if n := server.Text("EXISTS", "mp:ptunknown"); n != "0" {
		t.Error("asking made a task")
	}
	if err := s.TaskReached(t.Context(), "t0", []string{"a", "b"}); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(server.Do("LRANGE", "t0:sui", "0", "-1")); got != "[b a]" {
		t.Error(got)
	}
	for _, key := range []string{"mp:ptt0", "t0:sui"} {
		if ttl := server.Text("TTL", key); len(ttl) < 6 {
			t.Errorf("%s expires in %s s", key, ttl)
		}
	}
}

func TestLeaseEnds(t *testing.T) {
	server := backing.StartRedis(t)
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}})
	if ok, err := s.Lease(t.Context(), "sweep", 30*time.Millisecond); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if n := server.Text("EXISTS", "ff:lease:sweep"); n != "1" {
		t.Error("the key has another name")
	}
	eventually(t, "the lease ends", func() bool {
		ok, err := s.Lease(t.Context(), "sweep", time.Hour)
		return ok && err == nil
	})
	c := newClock()
	e := openTest(t, Options{Now: c.Now})
	for _, want := range []bool{true, false, true} {
		if ok, err := e.Lease(t.Context(), "sweep", time.Minute); err != nil || ok != want {
			t.Errorf("%v, %v; want %v", ok, err, want)
		}
		if !want {
			c.advance(time.Minute)
		}
	}
}

// TestSweepAfterACrash starts from what a node leaves that is killed: its list and its
// routes, beside a Java node's user on a list of the same address.
func TestSweepAfterACrash(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	published := overhear(t, server)
	server.Do("HSET", "mp:ur:java", "1", `{"port":3999,"host":"127.0.0.9","deviceId":"d","osName":"ios","clientVersion":"2.0","connId":"abcd1234"}`)
	server.Do("ZADD", "mp:oul:10.0.0.2", "0", "java", "0", "ghost", "0", "crashed", "0", "elsewhere")
	mustRestore(t, s, UserRoute{"crashed", on(c, "10.0.0.2", "c1")}, UserRoute{"elsewhere", on(c, "10.0.0.3", "c2")})
	report := mustSweep(t, s, 0, "10.0.0.2", func(_ string, r Route) bool { return r.Address == "10.0.0.2:3001" })
	if want := (SweepReport{Routes: 3, Stale: 1, Unlisted: 2}); report != want {
		t.Errorf("%+v, want %+v", report, want)
	}
	if got := fmt.Sprint(server.Do("ZRANGE", "mp:oul:10.0.0.2", "0", "-1")); got != "[java]" {
		t.Errorf("still listed: %s", got)
	}
	published("/mpush/offline/ crashed")
}
