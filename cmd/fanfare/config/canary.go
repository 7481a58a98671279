package config

// Canary is the trying of all ways that pushes take.
type Canary struct {
	Enabled string   `key:"enabled" default:"auto" oneof:"auto|true|false" doc:"A node keeps a device of its own, and nodes and allocators push to those of all nodes and export how long that takes (fanfare_canary_*). auto: yes in fanfare node and fanfare alloc, no in fanfare run. Nodes without such a device are left out."`
	Every   Duration `key:"every" default:"10s" min:"1s" max:"1h" doc:"Time between two rounds of these pushes, give or take a fifth; a round is for 32 nodes at most, with more they take turns."`
	Timeout Duration `key:"timeout" default:"5s" min:"100ms" max:"10m" doc:"Time such a push may take until its ack; then it is lost."`
}

// On reports whether a program is to do so.
func (c Canary) On(role Role) bool {
	if c.Enabled == "auto" {
		return role != RoleRun
	}
	return c.Enabled == "true"
}
