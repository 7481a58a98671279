package backing

import (
	"bufio"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// echo answers lines until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for s := bufio.NewScanner(c); s.Scan(); {
					if _, err := c.Write(append(s.Bytes(), '\n')); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange sends a line and waits that long for the answer.
func exchange(c net.Conn, line string, wait time.Duration) error {
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return err
	}
	return answer(c, line, wait)
}

func answer(c net.Conn, line string, wait time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, len(line)+1)
	for n := 0; n < len(buf); {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
	}
	if string(buf) != line+"\n" {
		return errors.New("answer is " + string(buf))
	}
	return nil
}

func TestProxyCutHoldsBytes(t *testing.T) {
	p := StartProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := exchange(c, "one", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if err := exchange(c, "two", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("while cut: %v", err)
	}
	late := dial(t, p.Addr)
	if err := exchange(late, "new", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection while cut: %v", err)
	}
	p.Heal()
	if err := answer(c, "two", 10*time.Second); err != nil {
		t.Errorf("after healing: %v", err)
	}
	if err := answer(late, "new", 10*time.Second); err != nil {
		t.Errorf("the new connection after healing: %v", err)
	}
}

func TestProxyBreakResets(t *testing.T) {
	p := StartProxy(t, echo(t))
	c := dial(t, p.Addr)
	if err := exchange(c, "one", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Break()
	if err := answer(c, "none", 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection after a break: %v", err)
	}
	if c, err := net.Dial("tcp", p.Addr); err == nil {
		_ = c.Close()
		t.Error("a broken proxy accepts")
	}
	p.Heal()
	if err := exchange(dial(t, p.Addr), "two", 10*time.Second); err != nil {
		t.Errorf("after healing: %v", err)
	}
}

func TestProxySlow(t *testing.T) {
	const delay = 100 * time.Millisecond
	p := StartProxy(t, echo(t))
	c := dial(t, p.Addr)
	p.Slow(delay)
	began := time.Now()
	if err := exchange(c, "one", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	p.Slow(time.Hour)
	if err := exchange(c, "two", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with an hour of delay: %v", err)
	}
	p.Heal() // what is under way stays so
	if err := exchange(dial(t, p.Addr), "three", 10*time.Second); err != nil {
		t.Errorf("after healing: %v", err)
	}
}

func TestProxyEndsWhileCut(t *testing.T) {
	target := echo(t)
	t.Run("cut", func(t *testing.T) {
		p := StartProxy(t, target)
		c := dial(t, p.Addr)
		if err := exchange(c, "one", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		p.Cut()
		if _, err := c.Write([]byte("two\n")); err != nil {
			t.Fatal(err)
		}
	})
}
