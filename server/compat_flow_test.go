package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
	"github.com/fanfare-push/fanfare/server/store"
)

// withRedis puts a node on a Redis server of its own.
func withRedis(t testing.TB) (*backing.Redis, func(*server.Options)) {
	t.Helper()
	redis := backing.StartRedis(t)
	return redis, func(o *server.Options) {
		shared, err := store.OpenRedis(store.RedisOptions{Addresses: []string{redis.Addr}, Logger: o.Logger, Metrics: o.Metrics})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.Close() })
		o.Store = shared
	}
}

// audience are devices of as many users.
func audience(t testing.TB, n *servertest.Node, users int) (devices []*wire) {
	t.Helper()
	for i := range users {
		devices = append(devices, device(t, n, fmt.Sprint("dev-", i), "android", fmt.Sprint("user-", i)))
	}
	return devices
}

// taskCount is how many a task counts in Redis.
func taskCount(redis *backing.Redis, task string) int {
	text, _ := redis.Do("HGET", "mp:pt"+task, "sc").(string)
	n, _ := strconv.Atoi(text)
	return n
}

// Check 51: q is the rate, sc counts everybody, the list holds them.
func TestCompatBroadcastTask(t *testing.T) {
	t.Parallel()
	redis, onRedis := withRedis(t)
	n := servertest.Start(t, onRedis)
	devices, back := audience(t, n, 6), gatewayTo(t, n)
	redis.Do("HSET", "mp:pttask-1", "q", "4")
	start := time.Now()
	back.send(raw(16, 0, 1, toAll("hi", "task-1", "", "")))
	back.want(raw(11, 0, 1, castDone))
	if took := time.Since(start); took < 500*time.Millisecond {
		t.Errorf("six at four a second took %v", took)
	}
	for _, w := range devices {
		w.wantSealed(15, 1, []byte("hi"))
		w.wantQuiet()
	}
	if got := taskCount(redis, "task-1"); got != 6 {
		t.Errorf("sc is %d", got)
	}
	var users []string
	for _, user := range redis.Do("LRANGE", "task-1:sui", "0", "-1").([]any) {
		users = append(users, user.(string))
	}
	slices.Sort(users)
	if want := []string{"user-0", "user-1", "user-2", "user-3", "user-4", "user-5"}; !slices.Equal(users, want) {
		t.Errorf("the list holds %v", users)
	}
	back.send(raw(16, 0, 2, toAll("again", "task-1", "", "")))
	back.want(raw(11, 0, 2, castDone))
	if got := taskCount(redis, "task-1"); got != 12 {
		t.Errorf("sc is %d after a second broadcast of the task", got)
	}
}

// Check 51: who is cancelled before it begins delivers nothing. Java fills a window first.
func TestCompatBroadcastTaskCancelled(t *testing.T) {
	t.Parallel()
	redis, onRedis := withRedis(t)
	n := servertest.Start(t, onRedis)
	devices, back := audience(t, n, 5), gatewayTo(t, n)
	redis.Do("HSET", "mp:pttask-1", "q", "1", "c", "1")
	back.send(raw(16, 0, 1, toAll("hi", "task-1", "", "")))
	back.wantAnswer(1, 0, "").check(t, 2, "push-center-begin", "failure-end")
	for _, w := range devices {
		w.wantQuiet()
	}
	if got := taskCount(redis, "task-1"); got != 0 {
		t.Errorf("sc is %d", got)
	}
	redis.Do("HSET", "mp:pttask-2", "q", "1") // and now midway
	back.send(raw(16, 0, 2, toAll("hi", "task-2", "", "")))
	servertest.Eventually(t, "the first were counted", func() bool { return taskCount(redis, "task-2") > 0 })
	redis.Do("HSET", "mp:pttask-2", "c", "1")
	back.want(raw(11, 0, 2, castDone))
	if got := taskCount(redis, "task-2"); got < 1 || got > 4 {
		t.Errorf("sc is %d after a cancel midway", got)
	}
}

// Check 52: at a rate that takes several windows all get it, and there is one answer.
func TestCompatBroadcastAtARate(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.BroadcastRate = 5 })
	devices, back := audience(t, n, 7), gatewayTo(t, n)
	start := time.Now()
	back.send(raw(16, 0, 1, toAll("hi", "", "", "")))
	back.want(raw(11, 0, 1, castDone))
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("seven at five a second took %v", took)
	}
	for _, w := range devices {
		w.wantSealed(15, 1, []byte("hi"))
		w.wantQuiet()
	}
	back.send(raw(16, 0, 99, gatewayBody("nobody", 1, 0, "x")))
	back.wantAnswer(99, 1, "nobody").check(t, 1, "push-center-begin", "offline-end") // and nothing before it
}
