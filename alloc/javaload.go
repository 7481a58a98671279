package alloc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/server/cluster"
)

const (
	javaLoadPeriod  = 5 * time.Second // between two readings
	javaLoadTimeout = 2 * time.Second // for one node
)

// javaLoads knows how many users are online on the Java nodes, which tell nobody but
// the store. It reads there in the background, so that no device waits for the store,
// and only while there are Java nodes. While the store is away the last numbers hold.
type javaLoads struct {
	count   func(ctx context.Context, publicIP string) (int, error) // nil: nothing is ever known
	members cluster.Members
	log     *slog.Logger

	mu    sync.Mutex
	users map[string]int // by public address
	away  bool           // the last reading failed, which was logged
}

func newJavaLoads(o *Options) *javaLoads {
	return &javaLoads{count: o.JavaLoad, members: o.Router.Members(), log: o.Logger, users: make(map[string]int)}
}

// run reads the numbers until ctx ends.
func (j *javaLoads) run(ctx context.Context) {
	if j.count == nil {
		return
	}
	ticker := time.NewTicker(javaLoadPeriod)
	defer ticker.Stop()
	for {
		j.read(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// read asks for every Java node. After the first error it asks no more: the store is
// away for all of them.
func (j *javaLoads) read(ctx context.Context) {
	addresses := j.addresses()
	fresh := make(map[string]int, len(addresses))
	var err error
	for _, address := range addresses {
		var n int
		if n, err = j.ask(ctx, address); err != nil {
			break
		}
		fresh[address] = n
	}
	if ctx.Err() == nil {
		j.keep(addresses, fresh, err)
	}
}

// addresses are those by which the store counts the users of the Java nodes: the hosts
// that devices connect to, as MPush's allocator has it.
func (j *javaLoads) addresses() (list []string) {
	members, _ := j.members.List()
	for _, m := range members {
		info := m.Info()
		if host := publicAddress(info); info.Java && host != "" && info.State != cluster.Lost {
			list = append(list, host)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func publicAddress(info cluster.Info) string {
	host, _, err := net.SplitHostPort(info.Device)
	if err != nil {
		return ""
	}
	return host
}

func (j *javaLoads) ask(ctx context.Context, address string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, javaLoadTimeout)
	defer cancel()
	n, err := j.count(ctx, address)
	if err != nil {
		return 0, fmt.Errorf("counting the users of the Java node %s: %w", address, err)
	}
	return n, nil
}

// keep takes fresh numbers over and forgets those of nodes that are gone.
func (j *javaLoads) keep(addresses []string, fresh map[string]int, err error) {
	j.mu.Lock()
	for address := range j.users {
		if !slices.Contains(addresses, address) {
			delete(j.users, address)
		}
	}
	for address, n := range fresh {
		j.users[address] = n
	}
	turned := j.away != (err != nil)
	j.away = err != nil
	j.mu.Unlock()
	switch {
	case !turned:
	case err != nil:
		j.log.Warn("the load of Java nodes is not known, the last numbers hold", "err", err)
	default:
		j.log.Info("the load of Java nodes is known again")
	}
}

// fill writes the number of users into the info of a Java node, also as that of its
// connections. known is false while there is no number; other nodes tell their own.
func (j *javaLoads) fill(info *cluster.Info) (known bool) {
	if !info.Java {
		return !info.Unheard
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, known := j.users[publicAddress(*info)]
	if known {
		info.Users, info.Connections = n, n
	}
	return known
}
