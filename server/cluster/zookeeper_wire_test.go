package cluster

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
)

// stranger is a server that answers every connection with some bytes and then is
// silent.
func stranger(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			_, _ = c.Write([]byte(answer))
		}
		<-end
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		close(end)
		<-ended
	})
	return l.Addr().String()
}

func TestZooKeeperIsSomethingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, want string }{
		"silent":        {"", "i/o timeout"},
		"HTTP":          {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as ZooKeeper"},
		"Redis":         {"-ERR unknown command\r\n", "does not answer as ZooKeeper"},
		"short":         {"\x00\x00\x00\x01\x00", "does not answer as ZooKeeper"},
		"breaks off":    {"\x00\x00\x00\x25\x00\x00", "i/o timeout"},
		"half a length": {"\x00", "i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := openZK(t, "mpush", stranger(t, c.answer))
			within(t, "it says so", func() bool { return strings.Contains(u.Err().Error(), c.want) })
			if !strings.Contains(u.Err().Error(), "registry.zookeeper.servers") {
				t.Errorf("error %v", u.Err())
			}
		})
	}
}

// The library waits for ever if writing the credential of a new connection fails.
func TestWriteToLostZooKeeperFailsWhenReading(t *testing.T) {
	w := newZKWire(time.Second)
	c, err := w.dial("tcp", stranger(t, ""), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.(*zkSocket).Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, 44)
	if n, err := c.Write(hello); n != len(hello) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if _, err := c.Read(hello); err == nil {
		t.Error("the reader does not find the fault")
	}
	if w.reason() == nil || !strings.Contains(w.reason().Error(), "write to 127.0.0.1") {
		t.Errorf("the reason is %v", w.reason())
	}
}

func TestServersOfZooKeeperTakeTurns(t *testing.T) {
	var h zkHosts
	if err := h.Init([]string{"a", "b", "c"}); err != nil || h.Len() != 3 {
		t.Fatal(err)
	}
	turn := func(n int) (all string) {
		for range n {
			server, pause := h.Next()
			all += server
			if pause {
				all += "!"
			}
		}
		return all
	}
	if got := turn(7); got != "abca!bca!" {
		t.Errorf("turns are %s", got)
	}
	h.Connected()
	if got := turn(4); got != "bcab!" {
		t.Errorf("turns after a connection are %s", got)
	}
}

func TestOptionsOfZooKeeper(t *testing.T) {
	metrics, log := exporter.New(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
	good := ZooKeeperOptions{Servers: []string{"127.0.0.1:1"}, Metrics: metrics, Logger: log}
	if err := good.complete(); err != nil || good.Namespace != "mpush" || good.Digest != "mpush" || good.SessionTimeout != 5*time.Second {
		t.Errorf("%+v, %v", good, err)
	}
	for _, c := range []struct {
		change func(*ZooKeeperOptions)
		want   string
	}{
		{func(o *ZooKeeperOptions) { o.Servers = nil }, "Servers"},
		{func(o *ZooKeeperOptions) { o.Metrics = nil }, "Metrics"},
		{func(o *ZooKeeperOptions) { o.Logger = nil }, "Logger"},
		{func(o *ZooKeeperOptions) { o.Namespace = "a/b" }, "registry.zookeeper.namespace"},
		{func(o *ZooKeeperOptions) { o.Namespace = ".." }, "registry.zookeeper.namespace"},
		{func(o *ZooKeeperOptions) { o.Namespace = "/" }, "registry.zookeeper.namespace"},
	} {
		o := good
		c.change(&o)
		z, err := OpenZooKeeper(o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
		if z != nil {
			_ = z.Close()
		}
	}
}
