package store

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// documentedRights makes the user that docs/OPERATIONS.md describes.
func documentedRights(t *testing.T, password string, servers ...*backing.Redis) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +(ACL SETUSER fanfare on >PASSWORD .*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("docs/OPERATIONS.md has no list of rights")
	}
	for _, server := range servers {
		server.Do(strings.Fields(strings.ReplaceAll(string(line[1]), "PASSWORD", password))...)
	}
}

// TestRedisConformsWithDocumentedRights: everything works for a user who may do no
// more than docs/OPERATIONS.md says.
func TestRedisConformsWithDocumentedRights(t *testing.T) {
	t.Parallel()
	server := backing.StartRedis(t)
	documentedRights(t, "pw", server)
	conformance(t, func(t *testing.T, now func() time.Time) Store {
		server.Do("FLUSHALL")
		return openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Username: "fanfare", Password: "pw", Now: now})
	})
	nothingDenied(t, server)
}

func TestRedisClusterConformsWithDocumentedRights(t *testing.T) {
	t.Parallel()
	servers := backing.StartRedisCluster(t, 3)
	documentedRights(t, "pw", servers...)
	conformance(t, func(t *testing.T, now func() time.Time) Store {
		for _, server := range servers {
			server.Do("FLUSHALL")
		}
		return openRedis(t, RedisOptions{Mode: ModeCluster, Addresses: []string{servers[1].Addr}, Username: "fanfare", Password: "pw", Now: now})
	})
	nothingDenied(t, servers...)
}

// nothingDenied fails if a server has denied something.
func nothingDenied(t *testing.T, servers ...*backing.Redis) {
	t.Helper()
	for _, server := range servers {
		if log, _ := server.Do("ACL", "LOG").([]any); len(log) > 0 {
			t.Errorf("denied: %v", log)
		}
	}
}
