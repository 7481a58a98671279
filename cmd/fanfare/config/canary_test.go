package config

import "testing"

func TestCanaryIsOnInAClusterUnlessToldOtherwise(t *testing.T) {
	cluster := []string{"store.kind=redis", "registry.kind=zookeeper"}
	for _, c := range []struct {
		role Role
		set  []string
		want bool
	}{
		{RoleNode, nil, true}, {RoleAlloc, cluster, true}, {RoleRun, nil, false},
		{RoleRun, []string{"canary.enabled=true"}, true},
		{RoleNode, []string{"canary.enabled=false"}, false},
	} {
		if got := mustLoad(t, demo(Options{Role: c.role, Set: set(c.set...)})).Canary.On(c.role); got != c.want {
			t.Errorf("%s with %v: %v", c.role, c.set, got)
		}
	}
}
