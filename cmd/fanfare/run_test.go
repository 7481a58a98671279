package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startRun runs "fanfare run" on free ports and tells where it listens.
func startRun(t *testing.T, more ...string) (r *running, device, api, ops string) {
	t.Helper()
	r = start(t, anyPorts("run", more...)...)
	r.stdout.waitFor(t, `Next:(?s:.*)push --url`)
	return r, r.stdout.waitFor(t, `devices +(\S+)`), r.stdout.waitFor(t, `allocator, API +(http://[^/]+)/`), r.stdout.waitFor(t, `metrics +(http://[^/]+)/`)
}

func get(t *testing.T, url string, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// TestTheTour does what the README's tour does: a device, pushes, numbers, stages.
func TestTheTour(t *testing.T) {
	r, device, api, ops := startRun(t)
	alice := start(t, "listen", "--address", device, "--demo-key", "--user", "alice", "--tags", "beta,eu", "--os-name", "android")
	alice.stderr.waitFor(t, "connected as alice")
	robot := start(t, "listen", "--allocator", api+"/", "--demo-key", "--user", "robot", "--json", "--count", "2")
	robot.stderr.waitFor(t, "connected as robot")

	for _, c := range []struct {
		args  string
		stdin string
		code  int
		want  string
	}{
		{"--user alice one", "", exitOK, "sent by "},
		{"--user alice --ack auto two", "", exitOK, "acked by "},
		{"--user alice --ack biz --id m3", "three", exitOK, "acked by "},
		{"--user alice --ack biz --id m3 three", "", exitOK, "was pushed before, id m3"},
		{"--user alice --client-type pc four", "", exitFailure, "filtered"},
		{"--user alice --client-type mobile five", "", exitOK, "sent"},
		{"--user nobody six", "", exitFailure, "offline"},
		{"--user alice --wait 0 seven", "", exitOK, "accepted, outcome not known yet"},
		{"--users alice,robot eight", "", exitOK, "2 sent"},
		{"--users alice,nobody nine", "", exitFailure, "1 sent, 1 offline"},
		{"--broadcast --tags gamma ten", "", exitFailure, ""},
		{"--broadcast --json eleven", "", exitOK, `"outcomes":{"sent":1}`},
	} {
		got := run(t, c.stdin, []string{"FANFARE_URL=" + api}, append([]string{"push"}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.want) || got.stderr != "" {
			t.Errorf("push %s: exit %d, want %d and %q\n%s%s", c.args, got.code, c.code, c.want, got.stdout, got.stderr)
		}
	}
	alice.stdout.waitFor(t, "(?s)^one\ntwo\nthree\n.*five\n.*eight\nnine\neleven\n")
	if code := robot.wait(t); code != exitOK {
		t.Errorf("the device that wanted two messages: exit %d\n%s", code, robot.stderr)
	}
	var last struct{ Ack, Content string }
	lines := strings.Split(strings.TrimSpace(robot.stdout.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 2 || last.Content != "eleven" || last.Ack != "none" {
		t.Errorf("%v: %v", lines, err)
	}
	if status, body := get(t, api+"/api/v1/messages/m3", ""); status != 200 || !strings.Contains(body, `"acked"`) || !strings.Contains(body, `"stages"`) {
		t.Errorf("the message's story: %d %s", status, body)
	}
	if status, body := get(t, ops+"/metrics", ""); status != 200 || !strings.Contains(body, `fanfare_messages_total{outcome="acked"} 2`) || !strings.Contains(body, "fanfare_build_info") {
		t.Errorf("metrics: %d\n%s", status, body)
	}
	if status, _ := get(t, api+"/html", ""); status != 200 {
		t.Errorf("console: %d", status)
	}
	if status, _ := get(t, ops+"/-/ready", ""); status != 200 {
		t.Errorf("ready: %d", status)
	}
	if code := alice.end(t); code != exitOK {
		t.Errorf("listen ends with %d\n%s", code, alice.stderr)
	}
	if code := r.end(t); code != exitOK {
		t.Errorf("run ends with %d\n%s", code, r.stderr)
	}
	if !strings.Contains(r.stderr.String(), "published demo key") || strings.Contains(r.stderr.String(), "FANFARE_TOKEN") {
		t.Errorf("on loopback it says:\n%s", r.stderr)
	}
}

func TestAPublicAddressGetsAToken(t *testing.T) {
	args := []string{"run", "--log.level", "debug", "--set", "node.listen.websocket=", "--set", "node.listen.admin=", "--set", "node.listen.ops="}
	r := start(t, append(args, "--set", "node.listen.device=127.0.0.1:0", "--set", "node.listen.gateway=", "--set", "alloc.listen=0.0.0.0:0")...)
	api := r.stdout.waitFor(t, `allocator, API +(http://[^/]+)/`)
	token := r.stderr.waitFor(t, `FANFARE_TOKEN=(\S+)`)
	if status, _ := get(t, api+"/api/v1/nodes", ""); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	if status, _ := get(t, api+"/api/v1/nodes", token); status != http.StatusOK {
		t.Errorf("with the token: %d", status)
	}
	if r.stdout.waitFor(t, `(?s)Next.*(push)`); strings.Count(r.stderr.String()+r.stdout.String(), token) != 1 {
		t.Errorf("the token is shown more than once:\n%s%s", r.stderr, r.stdout)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, "", nil, "push", "--url", api, "--token-file", file, "--user", "nobody", "x")
	if got.code != exitFailure || !strings.Contains(got.stdout, "offline") {
		t.Errorf("push with the token: %+v", got)
	}
	got = run(t, "", []string{"FANFARE_TOKEN=swordfish-swordfish"}, "push", "--url", api, "--user", "nobody", "x")
	if got.code != exitFailure || strings.Contains(got.stderr, "swordfish") || !strings.Contains(got.stderr, "401") {
		t.Errorf("push with a wrong token: %+v", got)
	}
}

func TestConfiguredTokensAreNotShown(t *testing.T) {
	r, device, api, _ := startRun(t, "--set", "api.tokens=swordfish-swordfish", "--log.level", "debug", "--log.format", "json",
		"--set", "security.private_key_file=config/testdata/keys/private.pem")
	if status, _ := get(t, api+"/api/v1/nodes", "swordfish-swordfish"); status != http.StatusOK {
		t.Errorf("with the token: %d", status)
	}
	d := start(t, "listen", "--address", device, "--public-key-file", "config/testdata/keys/public.pem", "--user", "u", "--log.level", "debug")
	d.stderr.waitFor(t, "connected as u")
	wrong := start(t, "listen", "--address", device, "--demo-key", "--user", "v")
	if code := wrong.wait(t); code != exitFailure || !strings.Contains(wrong.stderr.String(), "fanfare: ") {
		t.Errorf("a device with another key: exit %d\n%s", code, wrong.stderr)
	}
	if code := r.end(t); code != exitOK {
		t.Errorf("exit %d", code)
	}
	private, err := os.ReadFile("config/testdata/keys/private.pem")
	if err != nil {
		t.Fatal(err)
	}
	secretLine := strings.Split(string(private), "\n")[2]
	for _, s := range []string{r.stdout.String(), r.stderr.String(), d.stderr.String()} {
		if strings.Contains(s, "swordfish") || strings.Contains(s, secretLine) || strings.Contains(s, "demo key") {
			t.Errorf("shown:\n%s", s)
		}
	}
}

func TestTwoOnOnePort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, key := range []string{"node.listen.device", "node.listen.websocket", "node.listen.gateway", "node.listen.ops", "alloc.listen"} {
		r := run(t, "", nil, anyPorts("run", "--log.level", "error", "--set", "security.private_key_file=config/testdata/keys/private.pem", "--set", key+"="+address)...)
		r.wantLine(t, exitFailure, address+" ("+key+") is in use by another process")
		if r.stdout != "" {
			t.Errorf("it said it was up: %s", r.stdout)
		}
	}
}

func TestTwoOnOneDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, device, _, _ := startRun(t, "--data-dir", dir)
	if d := start(t, "listen", "--address", device, "--demo-key", "--user", "u"); d.stderr.waitFor(t, "connected as u") == "" {
		t.Fatal("not connected")
	}
	second := run(t, "", nil, anyPorts("run", "--log.level", "error", "--data-dir", dir)...)
	second.wantLine(t, exitFailure, "store.dir", dir, "in use by another process")
	if code := first.end(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, first.stderr)
	}
	again, _, _, _ := startRun(t, "--data-dir", dir)
	if code := again.end(t); code != exitOK {
		t.Errorf("started again: exit %d\n%s", code, again.stderr)
	}
}

func TestNode(t *testing.T) {
	r := start(t, anyPorts("node", "--set", "security.private_key_file=config/testdata/keys/private.pem", "--set", "node.id=n1")...)
	device := r.stderr.waitFor(t, `node is serving.* device=(\S+)`)
	d := start(t, "listen", "--address", device, "--public-key-file", "config/testdata/keys/public.pem", "--user", "u")
	d.stderr.waitFor(t, "connected as u")
	if code := d.end(t); code != exitOK {
		t.Errorf("listen: exit %d", code)
	}
	if code := r.end(t); code != exitOK || r.stdout.String() != "" {
		t.Errorf("exit %d\n%s%s", code, r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr.String(), "demo key") {
		t.Errorf("it warns of the demo key:\n%s", r.stderr)
	}
}

func TestPushWithoutServer(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	r := run(t, "", nil, "push", "--url", "http://"+free.Addr().String(), "--user", "u", "x")
	r.wantLine(t, exitFailure, "connection refused")
}
