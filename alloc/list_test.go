package alloc

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// crowd is n users, of which every tenth is offline and the others are on the nodes in
// turn.
func crowd(n int, nodes ...*scriptedNode) (users []string) {
	for i := range n {
		user := fmt.Sprintf("user-%d", i)
		users = append(users, user)
		if i%10 != 0 {
			nodes[i%len(nodes)].online(user)
		}
	}
	return users
}

func listBody(t *testing.T, users []string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"users": users, "content": "hi", "wait": "30s"})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestALargeListIsTaken pushes to as many users as a list may have, on three nodes, and
// then looks what of it is left in memory.
func TestALargeListIsTaken(t *testing.T) {
	const most = 100_000
	nodes := []*scriptedNode{newNode("n1"), newNode("n2"), newNode("n3")}
	for _, n := range nodes {
		n.quiet = true
	}
	users := crowd(most, nodes...)
	body := listBody(t, users)
	r := newRig(t, nil, nodes...)
	r.client.Transport = r.client.Transport.(checked).next // holding it against the description takes long
	defer r.client.CloseIdleConnections()
	r.push(listBody(t, users[:10]), 200) // so that what stays for good is there
	before := heap()
	v := r.push(body, 200)
	same(t, "outcomes", v["outcomes"], map[string]any{"sent": 0.9 * most, "offline": 0.1 * most})
	same(t, "deliveries", v["deliveries"], map[string]any{"sent": 0.9 * most})
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("%d KiB more are in use after the push", grown>>10)
	}
	runtime.KeepAlive(users)
	r.refused(r.do("POST", "/api/v1/push", listBody(t, append(users, "one-more"))), 400, "too_many", "users")
}

func heap() uint64 {
	var m runtime.MemStats
	for range 2 { // what has a finalizer takes two
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestUsersThatAreNamedTwice(t *testing.T) {
	n := newNode("n1")
	r := newRig(t, nil, n)
	r.client.Transport = r.client.Transport.(checked).next
	defer r.client.CloseIdleConnections()
	users := crowd(50_000, n)
	for _, at := range []int{1, 25_000, 49_999} {
		r.refused(r.do("POST", "/api/v1/push", listBody(t, slices.Insert(slices.Clone(users), at, "user-0"))), 400, "repeated_user", "users")
	}
	n.none(t)
	if books := r.ledger.Books(); books.Accepted != 0 {
		t.Errorf("books %+v", books)
	}
}
