package config

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	c := mustLoad(t, demo(Options{Role: RoleNode, Set: set("api.tokens=one-secret-of-the-api,two-secret-of-the-api", "store.redis.password=hidden-in-here", "store.redis.addresses=a:1,b:2")}))
	for key, want := range map[string]string{
		"limits.max_heartbeat": "3m", "store.redis.addresses": "[a:1, b:2]", "api.tokens": "[[secret], [secret]]", "store.redis.password": "[secret]",
		"log": "log.level: info\nlog.format: text\n",
	} {
		if got, ok := c.Show(key); !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", key, got, ok, want)
		}
	}
	if got, ok := c.Show("no.such.key"); ok {
		t.Errorf("a key that is none: %q", got)
	}
	all, ok := c.Show("")
	if !ok || strings.Count(all, "\n") != len(Fields()) || strings.Contains(all, "of-the-api") || strings.Contains(all, "hidden") {
		t.Errorf("all settings: %s", all)
	}
}
