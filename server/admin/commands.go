package admin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
)

// command answers the arguments behind its name. The error is nil or errBye.
type command struct {
	name, usage, help string
	run               func(*Console, arguments) (string, error)
}

const goodbye = "have a good day!"

// list is every command in the order of the help.
func list() []command {
	answer := func(f func(*Console, arguments) string) func(*Console, arguments) (string, error) {
		return func(c *Console, a arguments) (string, error) { return f(c, a), nil }
	}
	return []command{
		{"help", "help", "show help", answer(func(*Console, arguments) string { return help() })},
		{"quit", "quit", "exit console mode", func(*Console, arguments) (string, error) { return goodbye, errBye }},
		{"shutdown", "shutdown", "drain and stop this node", shutdown},
		{"count", "count <conn, online>", "count conn num or online user count", answer(count)},
		{"route", "route <uid>", "show user route info", answer(route)},
		{"conf", "conf [key]", "show config info, secrets masked", answer(conf)},
		{"profile", "profile", "tell where profiles and metrics are", answer(profile)},
		{"push", "push <uid> <msg>", "push test msg to client and tell the outcome", answer(push)},
		{"kick", "kick <uid>", "end the user's connections on every node", answer(kick)},
		{"why", "why <message id>", "tell what became of a message and when", answer(why)},
		{"nodes", "nodes", "show the nodes of the cluster (also: zk)", answer(nodes)},
		{"zk", "zk", "the same as nodes", answer(nodes)},
		{"drain", "drain [rate]", "leave the cluster, move devices away, rate per second", answer(drain)},
		{"ready", "ready", "tell what is missing to serve", answer(ready)},
	}
}

// byName is every command by its name; the empty one is the first.
func byName() map[string]command {
	all := map[string]command{"": list()[0]}
	for _, c := range list() {
		all[c.name] = c
	}
	return all
}

// help looks as in MPush: names padded to column 38.
func help() string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-37s%s\r\n", name, text) }
	line("Option", "Description")
	line("------", "-----------")
	for _, c := range list() {
		line(c.usage, c.help)
	}
	return b.String()
}

func shutdown(c *Console, _ arguments) (string, error) {
	c.options.Shutdown()
	return "try close connect server...", errBye
}

func count(c *Console, a arguments) string {
	switch what := a.one(); what {
	case "conn":
		return strconv.Itoa(c.options.Node.Info().Connections)
	case "online":
		ctx, cancel := c.call()
		defer cancel()
		n, err := c.options.Store.OnlineUsers(ctx, c.options.PublicIP)
		if err != nil {
			return c.failed("counting users", err)
		}
		return strconv.Itoa(n)
	case "":
		return "count what? count conn, or count online"
	default:
		return "[" + what + "] unsupported, try help."
	}
}

// call bounds what a command waits for.
func (c *Console) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, callTime)
}

// failed words an error for the operator; the log has it too.
func (c *Console) failed(doing string, err error) string {
	c.options.Logger.Warn("admin command failed", "doing", doing, "err", err)
	return doing + " failed: " + strings.ReplaceAll(err.Error(), "\n", "; ")
}

func conf(c *Console, a arguments) string {
	key := a.one()
	text, ok := c.options.Setting(key)
	if !ok {
		return "key [" + key + "] not find in config"
	}
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\r\n")
}

func profile(c *Console, _ arguments) string {
	return "profiles and metrics are on the operations port " + c.options.Node.Info().Ops + ": /debug/pprof and /metrics"
}

func kick(c *Console, a arguments) string {
	user := a.one()
	if user == "" {
		return "please input userId"
	}
	ctx, cancel := c.call()
	defer cancel()
	n, err := c.options.Router.Kick(ctx, user)
	if err != nil {
		return c.failed("kicking the user", err)
	}
	return fmt.Sprintf("%d connections told to end", n)
}

func drain(c *Console, a arguments) string {
	rate := 0
	if text := a.one(); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1_000_000 {
			return "[" + text + "] is no rate: write connections per second, 1 to 1000000"
		}
		rate = n
	}
	c.options.Node.Drain(rate)
	return fmt.Sprintf("draining, %d connections left; \"count conn\" tells how many are", c.options.Node.Info().Connections)
}

func ready(c *Console, _ arguments) string {
	if err := c.options.Node.Ready(); err != nil {
		return "not ready: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "ready"
}

func nodes(c *Console, _ arguments) string {
	members, known := c.options.Router.Members().List()
	if !known {
		return "the nodes are not known: the registry was not reached yet"
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "id\tstate\tconnections\tusers\tweight\tdevices\tgateway\tversion\n")
	for _, m := range members {
		i := m.Info()
		version := i.Version
		if i.Java {
			version = "MPush"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", i.ID, i.State, i.Connections, i.Users, i.Weight, i.Device, i.Gateway, version)
	}
	_ = t.Flush() // to a builder
	return strings.ReplaceAll(strings.TrimRight(b.String(), "\n"), "\n", "\r\n")
}

// push sends a message as any entry point does, with its place in the books.
func push(c *Console, a arguments) string {
	if len(a) < 2 || a[0] == "" || strings.Join(a[1:], "") == "" {
		return "please input userId and a message: push <uid> <msg>"
	}
	o, now := c.options, c.options.Now()
	p := &cluster.Push{ID: ulid.Make().String(), Content: []byte(strings.Join(a[1:], " ")), Accepted: now}
	entry, _, err := o.Ledger.Accept(ledger.Request{ID: p.ID, Source: exporter.SourceAdmin, Targets: 1, Ack: p.Ack, Received: now})
	if err != nil {
		return c.failed("pushing", err)
	}
	o.Router.Push(p, a[0], entry)
	ctx, cancel := c.call()
	defer cancel()
	s, complete := entry.Wait(ctx)
	if !complete {
		return "message " + p.ID + " is still under way: why " + p.ID
	}
	return fmt.Sprintf("%s, message %s", s.Outcome, p.ID)
}

// why tells the life of a message that this node accepted.
func why(c *Console, a arguments) string {
	id := a.one()
	if id == "" {
		return "please input message id"
	}
	s, ok := c.options.Ledger.Get(id)
	if !ok {
		return "message [" + id + "] is not known here: it is where it was accepted, and as long as it is kept there"
	}
	lines := []string{fmt.Sprintf("message %s: %s", id, outcome(s))}
	if s.Targets > 1 || s.Broadcast {
		lines = append(lines, "targets "+counts(s.Outcomes), "deliveries "+counts(s.Deliveries))
	}
	for _, n := range s.Nodes {
		lines = append(lines, fmt.Sprintf("node %s: %s, deliveries %s", n.Node, n.Outcome, counts(n.Deliveries)))
	}
	for _, stage := range s.Stages {
		lines = append(lines, fmt.Sprintf("%-10s %s +%v on %s", stage.Stage, stage.At.Format(time.RFC3339Nano),
			stage.At.Sub(s.Accepted).Round(time.Microsecond), stage.Node))
	}
	return strings.Join(lines, "\r\n")
}

func outcome(s ledger.Snapshot) string {
	if s.Outcome == protocol.OutcomePending {
		return fmt.Sprintf("under way, %d of %d targets ended", s.Ended, s.Targets)
	}
	return s.Outcome.String()
}

func counts(of [protocol.NumOutcomes]int) string {
	var parts []string
	for _, o := range protocol.Outcomes() {
		if of[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of[o], o))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(slices.Clip(parts), ", ")
}
