package store

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// benchRedis runs a call in parallel on a real server. The number is different each
// time.
func benchRedis(b *testing.B, call func(s *Redis, n int64) error) {
	benchRedisWith(b, func(*Redis) {}, call)
}

func benchRedisWith(b *testing.B, prepare func(s *Redis), call func(s *Redis, n int64) error) {
	server := backing.StartRedis(b)
	s := openRedis(b, RedisOptions{Addresses: []string{server.Addr}})
	prepare(s)
	var next atomic.Int64
	b.SetParallelism(16) // as the workers of a node's pool
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(s, next.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func benchRoute(n int64) Route {
	return Route{
		Node: "node-1", Address: "10.0.0.1:3001", Connection: strconv.FormatInt(n, 16), DeviceID: fmt.Sprintf("device-%025d", n),
		OSName: "android", OSVersion: "12", ClientVersion: "1.0", ClientType: 1, Since: time.UnixMilli(1_800_000_000_000),
	}
}

func BenchmarkRedisPutRoute(b *testing.B) {
	benchRedis(b, func(s *Redis, n int64) error {
		_, _, err := s.PutRoute(context.Background(), fmt.Sprint("user-", n%100_000), benchRoute(n))
		return err
	})
}

func BenchmarkRedisBindAndLeave(b *testing.B) {
	benchRedis(b, func(s *Redis, n int64) error {
		user, r := fmt.Sprint("user-", n), benchRoute(n)
		if _, _, err := s.PutRoute(context.Background(), user, r); err != nil {
			return err
		}
		_, err := s.DropRoute(context.Background(), user, r)
		return err
	})
}

func BenchmarkRedisRoutes(b *testing.B) {
	const users = 10_000
	for _, count := range []int{1, 256} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			benchRedisWith(b, func(s *Redis) { fillRoutes(b, s, users) }, func(s *Redis, n int64) error {
				names := make([]string, count)
				for i := range names {
					names[i] = fmt.Sprint("user-", (n*int64(count)+int64(i))%users)
				}
				_, err := s.Routes(context.Background(), names...)
				return err
			})
		})
	}
}

func fillRoutes(b *testing.B, s *Redis, users int) {
	all := make([]UserRoute, users)
	for i := range all {
		all[i] = UserRoute{fmt.Sprint("user-", i), benchRoute(int64(i))}
	}
	if _, err := s.Restore(context.Background(), all); err != nil {
		b.Error(err)
	}
}

// BenchmarkRedisRestore re-publishes 10,000 routes in each round.
func BenchmarkRedisRestore(b *testing.B) {
	server := backing.StartRedis(b)
	s := openRedis(b, RedisOptions{Addresses: []string{server.Addr}})
	for b.Loop() {
		fillRoutes(b, s, 10_000)
	}
}

func BenchmarkRedisSaveSession(b *testing.B) {
	benchRedis(b, func(s *Redis, n int64) error {
		v := Session{OSName: "android", OSVersion: "12", ClientVersion: "1.0", DeviceID: "device", Key: testKey(), Expires: time.Now().Add(time.Hour)}
		return s.SaveSession(context.Background(), fmt.Sprintf("%032x", n), v)
	})
}

func BenchmarkRedisLoadSession(b *testing.B) {
	benchRedis(b, func(s *Redis, n int64) error {
		_, _, err := s.LoadSession(context.Background(), testID)
		return err
	})
}
