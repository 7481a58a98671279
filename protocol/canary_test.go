package protocol

import "testing"

func TestCanaryUsers(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]bool{
		CanaryUser("node-1"): true, CanaryUser(""): true, "$canary.": true, "$canary": false, "": false, "alice": false, "x$canary.a": false, "$Canary.a": false,
	} {
		if got := IsCanary(user); got != want {
			t.Errorf("IsCanary(%q) = %v", user, got)
		}
	}
	if got := CanaryUser("node-1"); got != "$canary.node-1" {
		t.Errorf("the user of node-1 is %q, which nodes of other versions do not know", got)
	}
}
