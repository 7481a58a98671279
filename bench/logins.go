package bench

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// LoginsReport is what logins cost a node with a real Redis.
type LoginsReport struct {
	Full   LoginRun `json:"full"`   // handshake with RSA, bind, close
	Resume LoginRun `json:"resume"` // fast connect, bind, close
}

// LoginRun is many logins of one kind.
type LoginRun struct {
	Logins  int     `json:"logins"`
	Seconds float64 `json:"seconds"`
	// PerSecond is what one node did while devices, Redis and it shared the machine.
	PerSecond float64 `json:"per_second"`
	// PerCore is what the node does in a second of processor time, 0 if it took too little
	// of that to be measured.
	PerCore float64 `json:"per_second_and_core"`
	// MicrosecondsEach is the node's processor time for one.
	MicrosecondsEach float64 `json:"node_us_each"`
}

// loginDevices is how many different devices log in, again and again.
const loginDevices = 2000

func (c *Cluster) logins(ctx context.Context, s *stack) (*LoginsReport, error) {
	l := &loginLoad{Cluster: c, node: s.nodes[0]}
	if err := l.prepare(); err != nil {
		return nil, err
	}
	c.progress("logins: %d full", c.Logins)
	full, err := l.run(ctx, false)
	if err != nil {
		return nil, err
	}
	c.progress("logins: %d resumed", c.Logins)
	resume, err := l.run(ctx, true)
	if err != nil {
		return nil, err
	}
	return &LoginsReport{full, resume}, nil
}

// loginLoad logs the same devices in on one node.
type loginLoad struct {
	*Cluster
	node *target
	key  *protocol.PublicKey

	sessions [loginDevices]*client.MemorySessions
}

func (l *loginLoad) prepare() error {
	pair, err := protocol.DemoKeyPair()
	if err != nil {
		return fmt.Errorf("the published key: %w", err)
	}
	l.key = pair.Public()
	for i := range l.sessions {
		l.sessions[i] = new(client.MemorySessions)
	}
	return nil
}

func (l *loginLoad) run(ctx context.Context, resume bool) (LoginRun, error) {
	before, err := l.node.usage(ctx)
	if err != nil {
		return LoginRun{}, err
	}
	start := time.Now()
	// A device logs in on one lane only, so that its logins come one after the other.
	lanes, ctx := errgroup.WithContext(ctx)
	for lane := range l.Parallel {
		lanes.Go(func() error {
			for i := lane; i < l.Logins; i += l.Parallel {
				device := lane + i/l.Parallel*l.Parallel%(loginDevices/l.Parallel*l.Parallel)
				if err := l.once(ctx, device, resume); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := lanes.Wait(); err != nil {
		return LoginRun{}, err
	}
	took := time.Since(start)
	after, err := l.node.usage(ctx)
	if err != nil && ctx.Err() == nil {
		return LoginRun{}, err
	}
	return loginRun(l.Logins, took, after.CPU-before.CPU), nil
}

// loginRun is what a number of logins took in all, and of the node's processor time.
func loginRun(logins int, took, busy time.Duration) LoginRun {
	n := float64(logins)
	run := LoginRun{Logins: logins, Seconds: took.Seconds(), PerSecond: n / took.Seconds(), MicrosecondsEach: busy.Seconds() / n * 1e6}
	if busy > 0 { // the system counts it in hundredths of a second
		run.PerCore = n / busy.Seconds()
	}
	return run
}

// once logs device i in, binds its user and leaves.
func (l *loginLoad) once(ctx context.Context, i int, resume bool) error {
	o := client.DeviceOptions{
		Address: l.node.device, PublicKey: l.key, DeviceID: fmt.Sprintf("bench-device-%d", i), OSName: "android", OSVersion: "15", ClientVersion: "1.0.0",
		MinHeartbeat: heartbeat, MaxHeartbeat: heartbeat, ManualHeartbeat: true, ConnectTimeout: loginPatience, RequestTimeout: loginPatience,
		SessionStore: l.sessions[i],
	}
	if !resume {
		l.sessions[i] = new(client.MemorySessions)
		o.SessionStore = l.sessions[i]
	}
	conn, err := client.Dial(ctx, o)
	if err != nil {
		return fmt.Errorf("device %d: %w", i, err)
	}
	defer conn.Close()
	if resume && !conn.Resumed() {
		return fmt.Errorf("device %d was to resume its session and did not", i)
	}
	if err := conn.Bind(ctx, userOf(i), "", ""); err != nil {
		return fmt.Errorf("device %d: %w", i, err)
	}
	return nil
}

func (r *LoginsReport) table(w io.Writer) {
	fmt.Fprintln(w, "logins on one node with a real Redis, each with bind and close; devices, Redis and the node share the machine")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "kind\tlogins\tper second\tper second and core of the node\tus of the node each\t")
	for _, kind := range []struct {
		name string
		run  LoginRun
	}{{"full", r.Full}, {"resume", r.Resume}} {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t\n", kind.name, kind.run.Logins, kind.run.PerSecond, kind.run.PerCore, kind.run.MicrosecondsEach)
	}
	t.Flush()
	fmt.Fprintln(w)
}
