package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// logText is a log that can be read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestBadPushesOfBackEnds: what a back end must not send is refused with an answer that
// MPush's SDK understands, or closes the connection if nothing can be made of it. It
// comes to nobody, is counted, and does not fill the log. Others go on.
func TestBadPushesOfBackEnds(t *testing.T) {
	t.Parallel()
	log := new(logText)
	n := servertest.Start(t, func(o *server.Options) {
		o.Logger, o.Limits.GatewayPacketBytes = slog.New(slog.NewTextHandler(log, nil)), 16<<10
	})
	alice, other := device(t, n, "dev-1", "android", "alice"), gatewayTo(t, n)
	alice.bind("alice", "vip")
	push := gatewayBody("alice", 1, 5000, "never")
	refused := func() float64 {
		return testutil.ToFloat64(n.Metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultRefused))
	}
	for name, c := range map[string]struct {
		frame  []byte
		closes bool
	}{
		"over the limit":           {raw(16, 0, 7, longGatewayBody("alice", noise(16<<10))), false},
		"1 GiB":                    {join(unhex(t, "40000000"), raw(16, 0, 7, nil)[4:]), true},
		"a negative length":        {join(unhex(t, "ffffff00"), raw(16, 0, 7, nil)[4:]), true},
		"no protocol":              {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), true},
		"no body":                  {raw(16, 0, 7, nil), false},
		"half a body":              {raw(16, 0, 7, push[:len(push)/2]), false},
		"a body without its end":   {raw(16, 0, 7, push[:len(push)-1]), false},
		"a field beyond the body":  {raw(16, 0, 7, join([]byte{0x7f, 0xfe}, push[2:])), false},
		"JSON":                     {raw(16, 16, 7, []byte(`{"userId":"alice"}`)), false},
		"compressed, but it isn't": {raw(16, 2, 7, push), false},
		"tags that are a word":     {raw(16, 0, 7, toAll("never", "", "vip", "")), false},
		"tags cut short":           {raw(16, 0, 7, toAll("never", "", `["vip"`, "")), false},
		"tags in an object":        {raw(16, 0, 7, toAll("never", "", `{"vip":true}`, "")), false},
		"tags that are numbers":    {raw(16, 0, 7, toAll("never", "", `[1,2]`, "")), false},
		"tags and more":            {raw(16, 0, 7, toAll("never", "", `["vip"] ["vip"]`, "")), false},
		"an endless condition":     {raw(16, 0, 7, toAll("never", "", "", "(function(){for(;;);})() || true")), false},
		"a loop":                   {raw(16, 0, 7, toAll("never", "", "", "while(true){}")), false},
		"a condition that throws":  {raw(16, 0, 7, toAll("never", "", "", "(function(){throw 1})()")), false},
		"a long condition":         {raw(16, 0, 7, toAll("never", "", "", strings.Repeat("!", 5000)+"false")), false},
		"no command of back ends":  {raw(3, 0, 7, []byte("x")), true},
	} {
		before := refused()
		back := gatewayTo(t, n)
		back.send(c.frame)
		switch {
		case !c.closes:
			if a := back.next(); a[4] != 10 || a[11] != 7 || a[13] != 16 || a[14] != 2 {
				t.Errorf("%s is answered with %x", name, a)
			}
			back.send(raw(16, 0, 8, gatewayBody("alice", 1, 5000, "after "+name))) // on the same connection
			back.wantAnswer(8, 1, "alice").check(t, 0, "push-center-begin", "before-send", "success-end")
			alice.wantSealed(15, 1, []byte("after "+name))
		case c.frame[4] == 3:
			_ = back.next() // says that the command is not supported
			fallthrough
		default:
			back.wantClosed()
		}
		if counted := refused() - before; counted != 1 {
			t.Errorf("%s is counted %v times", name, counted)
		}
	}
	other.send(raw(16, 0, 9, gatewayBody("alice", 1, 5000, "of another")))
	alice.wantSealed(15, 1, []byte("of another"))
	other.wantAnswer(9, 1, "alice").check(t, 0, "push-center-begin", "before-send", "success-end")
	alice.wantQuiet()
	if text := log.String(); strings.Count(text, "level=WARN") == 0 || strings.Count(text, "level=WARN") > 4 {
		t.Errorf("logged:\n%s", text)
	}
	if books := n.Ledger.Books(); books.InFlight != 0 {
		t.Errorf("books %+v", books)
	}
}
