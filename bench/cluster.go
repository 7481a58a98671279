package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Cluster measures three nodes and an allocator, all processes of this machine.
type Cluster struct {
	Common
	Redis     string  `placeholder:"HOST:PORT" help:"A running Redis to use instead of starting redis-server. Its keys mp:* and ff:* are written."`
	ZooKeeper string  `name:"zookeeper" placeholder:"HOST:PORT" help:"A running ZooKeeper to use instead of starting one."`
	Scenario  string  `default:"all" enum:"all,remote,logins,failover" help:"remote, logins, failover or all."`
	Rate      float64 `default:"5000" help:"remote: pushes a second over HTTP to devices of one node."`
	Devices   int     `default:"3000" help:"remote: logged-in devices."`
	Seconds   int     `default:"10" help:"remote: length of a run."`
	Runs      int     `default:"3" help:"remote: runs; the summary has their medians."`
	Logins    int     `default:"10000" help:"logins: of each kind."`
	Crowd     int     `default:"15000" help:"failover: devices of the node that is killed."`
	Others    int     `default:"200" help:"failover: devices of the other nodes, which are pushed to meanwhile."`
}

// ClusterReport is what [Cluster] found.
type ClusterReport struct {
	Remote   *ProducerRuns   `json:"remote,omitempty"`
	Logins   *LoginsReport   `json:"logins,omitempty"`
	Failover *FailoverReport `json:"failover,omitempty"`
}

// clusterNodes is how many nodes every scenario has.
const clusterNodes = 3

// Run measures and prints.
func (c *Cluster) Run(ctx context.Context) error {
	return c.run(ctx, func(ctx context.Context) (report, error) { return c.measure(ctx) })
}

func (c *Cluster) measure(ctx context.Context) (*ClusterReport, error) {
	if c.Logins < 1 || c.Logins > 1_000_000 || c.Crowd < 1 || c.Others < 1 {
		return nil, fmt.Errorf("--logins=%d --crowd=%d --others=%d: out of range", c.Logins, c.Crowd, c.Others)
	}
	if err := checkDevices(c.Crowd + c.Others); err != nil {
		return nil, err
	}
	found := &ClusterReport{}
	for _, scenario := range []struct {
		name    string
		measure func(context.Context, *stack) error
	}{
		{"remote", func(ctx context.Context, s *stack) (err error) { found.Remote, err = c.remote(ctx, s); return err }},
		{"logins", func(ctx context.Context, s *stack) (err error) { found.Logins, err = c.logins(ctx, s); return err }},
		{"failover", func(ctx context.Context, s *stack) (err error) { found.Failover, err = c.failover(ctx, s); return err }},
	} {
		if c.Scenario != "all" && c.Scenario != scenario.name {
			continue
		}
		if err := c.inStack(ctx, scenario.measure); err != nil {
			return nil, fmt.Errorf("%s: %w", scenario.name, err)
		}
	}
	return found, nil
}

// inStack gives a scenario a cluster of its own.
func (c *Cluster) inStack(ctx context.Context, measure func(context.Context, *stack) error) error {
	s, err := c.openStack(ctx, clusterNodes)
	if err != nil {
		return err
	}
	defer s.close()
	return measure(ctx, s)
}

// remote pushes over HTTP to devices that are on none of the allocator's process.
func (c *Cluster) remote(ctx context.Context, s *stack) (*ProducerRuns, error) {
	u := &Unicast{
		Common: c.Common, Devices: c.Devices, Rate: c.Rate, APIRate: c.Rate, Seconds: c.Seconds, Runs: c.Runs,
		Size: contentBytes, Producer: "api", Burst: 1, Workers: 32,
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	node := *s.nodes[0]
	node.api = s.alloc.api
	devices, err := u.devices(ctx, node.device, "push", "--numbers", fmt.Sprint(int(c.Rate)*c.Seconds+1))
	if err != nil {
		return nil, err
	}
	defer devices.close()
	c.progress("remote: logging in %d devices", c.Devices)
	if _, err := devices.ask(ctx, order{Op: opConnect, Devices: c.Devices}); err != nil {
		return nil, err
	}
	found, err := u.produce(ctx, &unicastRunner{u, &node, devices})
	if err != nil {
		return nil, err
	}
	return found.API, nil
}

func (r *ClusterReport) table(w io.Writer) {
	if r.Remote != nil {
		fmt.Fprintf(w, "pushes over HTTP to devices of another process, %.0f/s wanted (server: the node; allocator, sender and Redis share the machine)\n", r.Remote.Wanted)
		r.Remote.table(w)
	}
	if r.Logins != nil {
		r.Logins.table(w)
	}
	if r.Failover != nil {
		r.Failover.table(w)
	}
}

// copyBounded reads at most what an answer of ours can have.
func copyBounded(to *strings.Builder, from io.Reader) (int64, error) {
	return io.Copy(to, io.LimitReader(from, longestMetrics))
}
