package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Command is the tree of subcommands of "fanfare bench", with its flags as tags
// for github.com/alecthomas/kong. Each has a method Run that takes the context;
// bind one with kong's BindTo.
type Command struct {
	Idle      Idle      `cmd:"" help:"Memory of the server for each logged-in idle device, and a scrape of its metrics."`
	Unicast   Unicast   `cmd:"" help:"Time from the sender of a push to its device at a steady rate."`
	Broadcast Broadcast `cmd:"" help:"Processor time of a broadcast against a bare loop of writes over as many sockets."`
	Books     Books     `cmd:"" help:"Mixed load with frozen and vanishing devices; does every message have an end?"`
	Cluster   Cluster   `cmd:"" help:"Three nodes on a real Redis and ZooKeeper: pushes to another node, logins, and the devices of a node that dies."`
	Demo      Demo      `cmd:"" help:"Keep a running cluster gently busy until stopped, for its dashboards to move."`
	All       All       `cmd:"" help:"Idle, unicast and broadcast one after the other, with one summary."`

	Devices    Devices    `cmd:"" hidden:"" help:"Hold the devices of a scenario (started by the others)."`
	BareServer BareServer `cmd:"" hidden:"" help:"Hold the sockets of the bare loop (started by broadcast)."`
}

// Common are the flags that all scenarios share.
type Common struct {
	Server
	JSON     bool          `name:"json" help:"Print one JSON object instead of a table."`
	Timeout  time.Duration `default:"10m" help:"End the scenario after this time, whatever it is doing."`
	Parallel int           `default:"32" help:"Devices that log in at the same time."`

	// Out takes the report; nil is the standard output. Progress goes to Log.
	Out io.Writer `kong:"-"`
	// Log takes a line for each step; nil is the standard error.
	Log io.Writer `kong:"-"`
}

// report is the result of a scenario.
type report interface {
	// table writes it for people.
	table(w io.Writer)
}

// run bounds a scenario in time and prints what it found.
func (c *Common) run(ctx context.Context, scenario func(context.Context) (report, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("the scenario took longer than --timeout=%v", c.Timeout))
	defer cancel()
	found, err := scenario(ctx)
	if err != nil {
		return err
	}
	return c.print(found)
}

func (c *Common) print(found report) error {
	out := c.Out
	if out == nil {
		out = os.Stdout
	}
	if !c.JSON {
		found.table(out)
		return nil
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(found); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// progress says what is being done.
func (c *Common) progress(format string, args ...any) {
	out := c.Log
	if out == nil {
		out = os.Stderr
	}
	fmt.Fprintf(out, format+"\n", args...)
}

// devices starts the child that holds devices.
func (c *Common) devices(ctx context.Context, address, mode string, more ...string) (*child, error) {
	own, err := program("")
	if err != nil {
		return nil, err
	}
	args := []string{"devices", "--address", address, "--mode", mode, "--parallel", fmt.Sprint(c.Parallel)}
	if c.YesRemote {
		args = append(args, "--yes-remote")
	}
	return startChild(ctx, own, append(args, more...)...)
}
