package bench

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// log is a buffer that several goroutines may write to.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestDemo lets a few devices come and go until the server has seen everything that a
// demonstration is to show.
func TestDemo(t *testing.T) {
	server := Server{ServerBinary: buildServer(t), ServerSet: []string{"push.broadcast_rate=3000"}}
	ctx := patience(t)
	target := must(server.start(ctx))(t)
	defer target.close()
	status := must(freePorts(1))(t)[0]
	said := new(log)
	d := &Demo{
		Allocators: []string{"http://" + target.api}, ConnectTo: map[string]string{target.device: target.device},
		Devices: 20, Rate: 100, Broadcast: time.Second, Session: 2 * time.Second, Listen: status, Log: said,
	}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { ended <- d.Run(ctx) }()
	for _, want := range []string{
		`fanfare_messages_total{outcome="acked"}`, `fanfare_messages_total{outcome="sent"}`, `fanfare_messages_total{outcome="offline"}`,
		`fanfare_messages_accepted_total{kind="broadcast",source="api"}`, `fanfare_handshakes_total{kind="full",result="ok"}`,
		`fanfare_handshakes_total{kind="fast",result="ok"}`, `fanfare_connections_opened_total{transport="tcp"}`,
		`fanfare_connections_opened_total{transport="ws"}`, `fanfare_deliveries_total{outcome="filtered"}`,
		`fanfare_bound_connections{client_type="mobile"}`, `fanfare_bound_connections{client_type="pc"}`, `fanfare_bound_connections{client_type="web"}`,
	} {
		for must(target.metrics(ctx))(t)[want] == 0 {
			select {
			case err := <-ended:
				t.Fatalf("it ended: %v\n%s", err, said)
			case <-ctx.Done():
				t.Fatalf("%s stays at 0\n%s", want, said)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	for !ok(ctx, "http://"+status+"/-/ready") {
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatal("it is never ready")
		}
	}
	stop()
	if err := <-ended; err != nil || strings.Contains(said.String(), "push") {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestDemoEndsByItself(t *testing.T) {
	d := &Demo{Allocators: []string{"http://127.0.0.1:1"}, Devices: 2, Rate: 100, Session: time.Second, Length: 200 * time.Millisecond, Log: new(log)}
	check(t, d.Run(patience(t)))
}

func TestDemoRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	check(t, os.WriteFile(empty, []byte("# nothing\n\n"), 0o600))
	taken := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	for _, tt := range []struct{ flags, says string }{
		{"--devices=0", "--devices=0"},
		{"--devices=1001", "--devices=1001"},
		{"--rate=0", "--rate=0"},
		{"--rate=201", "--rate=201"},
		{"--rate=NaN", "--rate=NaN"},
		{"--broadcast=10ms", "--broadcast=10ms"},
		{"--session=0s", "--session=0s"},
		{"--allocator=http://192.0.2.1:9999", "--yes-remote"},
		{"--allocator=alloc-1:9999", "want a URL"},
		{"--token-file=" + empty, "holds no token"},
		{"--token-file=" + empty + ".gone", "--token-file"},
		{"--public-key-file=" + empty, "--public-key-file"},
		{"--public-key-file=" + empty + ".gone", "--public-key-file"},
		{"--devices=1 --allocator=http://127.0.0.1:1 --listen=" + taken.Addr().String(), "--listen"},
	} {
		err := command(patience(t), append([]string{"demo"}, strings.Fields(tt.flags)...)...)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("bench demo %s: %v, want something about %s", tt.flags, err, tt.says)
		}
	}
}

// TestDemoStaysHere: an allocator that names another machine sends no device there.
func TestDemoStaysHere(t *testing.T) {
	d := &Demo{ConnectTo: map[string]string{"127.0.0.1:1": "192.0.2.1:2"}}
	for _, address := range []string{"192.0.2.1:3000", "127.0.0.1:1"} {
		if c, err := d.dial(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), "--yes-remote") {
			t.Errorf("%s: %v %v", address, c, err)
		}
	}
}

func TestDemoDevices(t *testing.T) {
	systems, users, slow := map[string]int{}, map[string]int{}, 0
	for i := range 200 {
		d := demoDeviceOf(i)
		systems[d.os]++
		users[d.user]++
		if d.slow {
			slow++
		}
	}
	if systems[web] != 20 || systems["android"] != 100 || systems["ios"] != 40 || systems["windows"]+systems["mac"] != 40 {
		t.Errorf("systems: %v", systems)
	}
	if users["demo-3"] != 2 || users["demo-0"] != 1 || len(users) != 160 || slow != 4 {
		t.Errorf("%d users, %d slow: %v", len(users), slow, users)
	}
}
