package admin_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/admin"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// rig is a console on a real node.
type rig struct {
	*servertest.Node
	console *admin.Console
	stopped chan struct{} // closed by the command shutdown
}

func start(t *testing.T, adjust ...func(*admin.Options)) *rig {
	t.Helper()
	n := servertest.Start(t)
	quiet := slog.New(slog.DiscardHandler)
	router, err := cluster.NewRouter(cluster.RouterOptions{Members: cluster.Static{n.Node}, Local: n.Node, Store: n.Store, Metrics: n.Metrics, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Node: n, stopped: make(chan struct{})}
	o := admin.Options{
		Listen: "127.0.0.1:0", Node: n.Node, PublicIP: "127.0.0.1", Router: router, Store: n.Store, Ledger: n.Ledger,
		Setting:  func(key string) (string, bool) { return "3m", key == "limits.max_heartbeat" },
		Shutdown: func() { close(r.stopped) }, Metrics: n.Metrics, Logger: quiet,
	}
	for _, change := range adjust {
		change(&o)
	}
	if r.console, err = admin.New(o); err != nil {
		t.Fatal(err)
	}
	r.console.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.console.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := router.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// operator types commands.
type operator struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (r *rig) dial(t *testing.T) *operator {
	t.Helper()
	nc, err := net.Dial("tcp", r.console.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	o := &operator{t, nc, bufio.NewReader(nc)}
	o.answer() // the banner has two parts
	o.answer()
	return o
}

// answer reads up to the empty line.
func (o *operator) answer() string {
	o.t.Helper()
	var text strings.Builder
	for {
		line, err := o.in.ReadString('\n')
		if err != nil {
			o.t.Fatalf("after %q: %v", text.String(), err)
		}
		if line == "\r\n" {
			return strings.TrimSuffix(text.String(), "\r\n")
		}
		text.WriteString(line)
	}
}

func (o *operator) ask(command string) string {
	o.t.Helper()
	if _, err := io.WriteString(o.nc, command+"\r\n"); err != nil {
		o.t.Fatal(err)
	}
	return o.answer()
}

func (o *operator) closed() {
	o.t.Helper()
	if rest, err := io.ReadAll(o.in); err != nil || len(rest) > 0 {
		o.t.Errorf("want the end, got %q, %v", rest, err)
	}
}

// recorded finds what MPush's console answered to a command.
func recorded(t *testing.T, command string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/admin.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		if line == ">> '"+command+`\r\n'` {
			text := strings.Trim(strings.TrimPrefix(lines[i+1], "<< "), "'")
			text, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(text, "\r\n\r\n")
		}
	}
	t.Fatalf("%q was not recorded", command)
	return ""
}

func TestAnswersAsMPush(t *testing.T) {
	r := start(t)
	r.Dial(t, "phone", "alice")
	o := r.dial(t)
	for _, command := range []string{"count online", "count xx", "route", "route nobody", "route adm-user x", "conf no.such.key", "foo", "restart", "monitor", "zk:cs", "count:conn", "  help", "中文"} {
		if got, want := o.ask(command), recorded(t, command); got != want {
			t.Errorf("%s: got %q, MPush says %q", command, got, want)
		}
	}
	if got := o.ask("COUNT conn"); got != "1" {
		t.Errorf("count conn: %s", got)
	}
	help := o.ask("help")
	o.answer() // its last line has an end of its own
	if !strings.HasPrefix(help, strings.Join(strings.SplitAfter(recorded(t, "help"), "\r\n")[:4], "")) {
		t.Errorf("help begins otherwise than in MPush: %q", help)
	}
	if _, err := o.nc.Write([]byte("count conn\r\ncount online\n")); err != nil {
		t.Fatal(err)
	}
	if a, b := o.answer(), o.answer(); a != "1" || b != "1" {
		t.Errorf("two commands in one segment: %q, %q", a, b)
	}
	if got := o.ask(strings.Repeat("x", 9000) + "\r\ncount online"); got != "1" {
		t.Errorf("after a long line: %q", got)
	}
	if got := o.ask("quit"); got != recorded(t, "quit") {
		t.Errorf("quit: %q", got)
	}
	o.closed()
}

func TestRoutesAreShownAsMPushDoes(t *testing.T) {
	r := start(t)
	conn := r.Dial(t, "phone", "alice")
	o := r.dial(t)
	shape := regexp.MustCompile(`"[a-zA-Z]+":`)
	members := func(s string) string { return strings.Join(shape.FindAllString(s, 9+4), "") }
	if got, want := o.ask("route alice"), recorded(t, "route adm-user"); members(got) != members(want) {
		t.Errorf("members of an online route:\n got %s\nwant %s", got, want)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "shown as offline", func() bool {
		got := o.ask("route alice")
		return strings.Contains(got, `"offline":true`) && !strings.Contains(got, "connId")
	})
}

func TestPushWhyKick(t *testing.T) {
	r := start(t)
	conn := r.Dial(t, "phone", "alice")
	o := r.dial(t)
	said := o.ask("push alice hello  there")
	id := said[strings.LastIndex(said, " ")+1:]
	if !strings.HasPrefix(said, "sent, message ") {
		t.Fatalf("push: %q", said)
	}
	if p, err := conn.Receive(t.Context()); err != nil || string(p.Body) != "hello  there" {
		t.Errorf("the device got %q, %v", p.Body, err)
	}
	why := o.ask("why " + id)
	for _, part := range []string{"message " + id + ": sent", "accepted", "routed", "queued", "written", "on node-1"} {
		if !strings.Contains(why, part) {
			t.Errorf("why says nothing of %q:\n%s", part, why)
		}
	}
	if got := o.ask("push nobody x"); !strings.HasPrefix(got, "offline, message ") {
		t.Errorf("push to nobody: %q", got)
	}
	for command, want := range map[string]string{
		"why": "please input message id", "why not-there": "message [not-there] is not known here", "push": "please input userId and a message",
		"push alice": "please input userId and a message", "kick": "please input userId", "kick alice": "1 connections told to end",
		"nodes": "node-1  serving", "ready": "ready", "drain x": "[x] is no rate", "conf limits.max_heartbeat": "3m", "count": "count what?",
	} {
		if got := o.ask(command); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	if b := r.Ledger.Books(); b.InFlight != 0 || b.Accepted != 2 {
		t.Errorf("books %+v", b)
	}
}

func TestDrainAndShutdown(t *testing.T) {
	r := start(t)
	r.Dial(t, "phone", "alice")
	o := r.dial(t)
	if got := o.ask("drain 1000"); !strings.HasPrefix(got, "draining") {
		t.Errorf("drain: %q", got)
	}
	servertest.Eventually(t, "the device is gone", func() bool { return o.ask("count conn") == "0" })
	if got := o.ask("ready"); !strings.Contains(got, "draining") {
		t.Errorf("ready: %q", got)
	}
	if got := o.ask("shutdown"); got != recorded(t, "shutdown") {
		t.Errorf("shutdown: %q", got)
	}
	o.closed()
	<-r.stopped
}

func TestPassword(t *testing.T) {
	const password = "correct horse"
	r := start(t, func(o *admin.Options) { o.Password = password[:7] + "-horse" })
	o := r.dial(t)
	if got := o.ask("count conn"); !strings.Contains(got, "auth <password>") {
		t.Errorf("without a password: %q", got)
	}
	if got := o.ask("auth correct-horse"); got != "welcome" {
		t.Errorf("with the password: %q", got)
	}
	if got := o.ask("count conn"); got != "0" {
		t.Errorf("afterwards: %q", got)
	}
	bad := r.dial(t)
	bad.ask("auth a")
	bad.ask("auth b")
	if got := bad.ask("auth c"); got != "too many attempts" {
		t.Errorf("third attempt: %q", got)
	}
	bad.closed()
}

func TestPublicAddressNeedsAPassword(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0"} {
		if c, err := admin.New(admin.Options{Listen: address}); err == nil || !strings.Contains(err.Error(), "security.admin_password_file") {
			t.Errorf("%s: %v, %v", address, c, err)
		}
	}
	if _, err := admin.New(admin.Options{Listen: "nonsense"}); err == nil || !strings.Contains(err.Error(), "node.listen.admin") {
		t.Errorf("nonsense: %v", err)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	r := start(t)
	var all []*operator
	for range 32 {
		all = append(all, r.dial(t))
	}
	nc, err := net.Dial("tcp", r.console.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if text, _ := io.ReadAll(nc); len(text) > 0 {
		t.Errorf("the session too many was told %q", text)
	}
	all[0].ask("quit")
	servertest.Eventually(t, "there is room again", func() bool {
		nc, err := net.Dial("tcp", r.console.Addr().String())
		if err != nil {
			return false
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
		text, _ := bufio.NewReader(nc).ReadString('\n')
		return strings.HasPrefix(text, "Welcome to MPush Console [127.0.0.1]!")
	})
}
