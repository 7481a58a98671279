//go:build unix

package backing

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const zkServerScript = "/usr/share/zookeeper/bin/zkServer.sh"

// ZooKeeper is a ZooKeeper server process. It ends with the test. Sessions from 0.4 to
// 60 s are possible and expire with a grain of 0.2 s.
type ZooKeeper struct {
	// Addr is host:port for clients.
	Addr string
	*process
}

// StartZooKeeper runs a server on a free loopback port with an empty directory of its
// own and waits until it serves.
func StartZooKeeper(t testing.TB) *ZooKeeper {
	t.Helper()
	return StartEnsemble(t, 1)[0]
}

// StartEnsemble runs n servers that form an ensemble and waits until all of them serve.
func StartEnsemble(t testing.TB, n int) []*ZooKeeper {
	t.Helper()
	require(t, "zookeeper", "java", "default-jre-headless")
	script := require(t, "zookeeper", zkServerScript, "zookeeper")
	servers := make([]*ZooKeeper, n)
	var members strings.Builder
	for i := range servers {
		servers[i] = newZooKeeper(t, script)
		if n > 1 {
			fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d\n", i+1, FreePort(t), FreePort(t))
		}
	}
	for i, z := range servers {
		z.configure(i+1, members.String())
		z.start()
	}
	for _, z := range servers {
		z.ready()
	}
	return servers
}

func newZooKeeper(t testing.TB, script string) *ZooKeeper {
	z := &ZooKeeper{Addr: FreeAddress(t), process: &process{t: t, path: script, dir: t.TempDir()}}
	z.args = []string{"start-foreground", filepath.Join(z.dir, "zoo.cfg")} // the script becomes the server
	z.env = []string{
		"JMXDISABLE=true",
		"SERVER_JVMFLAGS=-Xms32m -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dzookeeper.forceSync=no",
	}
	t.Cleanup(func() {
		if z.command != nil && z.command.Process != nil {
			z.Kill()
		}
	})
	return z
}

func (z *ZooKeeper) configure(id int, members string) {
	z.t.Helper()
	_, port, _ := strings.Cut(z.Addr, ":")
	config := "tickTime=200\nminSessionTimeout=400\nmaxSessionTimeout=60000\ninitLimit=100\nsyncLimit=25\n" +
		"dataDir=" + z.dir + "\nclientPortAddress=127.0.0.1\nclientPort=" + port + "\n" +
		"maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n" + members
	for name, text := range map[string]string{"zoo.cfg": config, "myid": fmt.Sprint(id)} {
		if err := os.WriteFile(filepath.Join(z.dir, name), []byte(text), 0o600); err != nil {
			z.t.Fatal(err)
		}
	}
}

// Restart stops the server, if it runs, and starts it on the same port with the same
// data. It returns when the server serves clients.
func (z *ZooKeeper) Restart() {
	z.t.Helper()
	z.Stop()
	z.start()
	z.ready()
}

// Wipe removes the data of a server that does not run.
func (z *ZooKeeper) Wipe() {
	z.t.Helper()
	if err := os.RemoveAll(filepath.Join(z.dir, "version-2")); err != nil {
		z.t.Fatal(err)
	}
}

// Leader reports whether this server leads its ensemble.
func (z *ZooKeeper) Leader() bool {
	answer, err := z.Ask("srvr")
	return err == nil && strings.Contains(answer, "Mode: leader")
}

// Ask sends one of ZooKeeper's four letter words and returns the answer.
func (z *ZooKeeper) Ask(word string) (string, error) {
	conn, err := net.DialTimeout("tcp", z.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(word)); err != nil {
		return "", err
	}
	var answer bytes.Buffer
	_, err = answer.ReadFrom(conn)
	return answer.String(), err
}

func (z *ZooKeeper) ready() {
	z.t.Helper()
	err := z.await(func() error {
		answer, err := z.Ask("srvr")
		if err == nil && !strings.Contains(answer, "Mode: ") {
			err = errors.New("ZooKeeper says: " + answer)
		}
		return err
	})
	if err != nil {
		z.t.Fatal(err)
	}
}
