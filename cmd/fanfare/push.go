package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// maxContent bounds what is read as the content of a message, in bytes.
const maxContent = 4 << 20

// pushCmd pushes one message through the HTTP API.
type pushCmd struct {
	URL        string        `name:"url" help:"URL of the allocator. Also $FANFARE_URL." default:"http://127.0.0.1:9999" variable:"FANFARE_URL" placeholder:"URL"`
	Token      string        `help:"Bearer token of the API. Others can see a command line: $FANFARE_TOKEN or --token-file is better." variable:"FANFARE_TOKEN" placeholder:"TOKEN"`
	TokenFile  string        `help:"File with the token in its first line; wins over $FANFARE_TOKEN." placeholder:"FILE"`
	User       string        `help:"User to push to." short:"u" xor:"to" placeholder:"USER"`
	Users      []string      `help:"Several users." xor:"to" placeholder:"USER,USER"`
	Broadcast  bool          `help:"Everybody who is connected." xor:"to"`
	Tags       []string      `help:"Only devices with at least one of these tags." placeholder:"TAG,TAG"`
	Condition  string        `help:"Only devices for which this expression holds." placeholder:"EXPR"`
	ClientType []string      `help:"Only devices of these classes: mobile, pc, web or unknown." placeholder:"TYPE,TYPE"`
	Ack        string        `help:"Acknowledgement to ask for: none; auto, which the SDK gives; biz, which the application gives." enum:"none,auto,biz" default:"none"`
	Wait       time.Duration `help:"How long to wait for the outcome. 0: do not wait." default:"3s"`
	Rate       int           `help:"With --broadcast: connections per second on each node. 0: the nodes' default." placeholder:"N"`
	Task       string        `help:"With --broadcast: MPush's task id, whose counters in the store steer the broadcast." placeholder:"ID"`
	ID         string        `name:"id" help:"Idempotency key: a message is pushed once however often it is sent with the same id." placeholder:"ID"`
	JSON       bool          `name:"json" help:"Print the result as JSON."`

	Content string `arg:"" optional:"" help:"What to push. Without it: standard input."`
}

// Help is shown by --help.
func (pushCmd) Help() string {
	return `Exits 0 if the message was sent (with --ack: acknowledged) to everybody it was for, or accepted with --wait 0;
else 1.

Examples:

  fanfare push --user alice "hello"
  fanfare push --user alice --ack auto --wait 10s --json "hello"
  echo '{"news":1}' | fanfare push --broadcast --tags beta --url http://push.example.org:9999`
}

// Validate is called by kong before Run.
func (cmd *pushCmd) Validate() error {
	switch {
	case cmd.User == "" && len(cmd.Users) == 0 && !cmd.Broadcast:
		return errors.New("needs somebody to push to: give --user, --users or --broadcast")
	case cmd.Wait < 0:
		return errors.New("--wait must not be negative")
	case cmd.Rate < 0:
		return errors.New("--rate must not be negative")
	case !cmd.Broadcast && (cmd.Rate != 0 || cmd.Task != ""):
		return errors.New("--rate and --task are for --broadcast only")
	}
	return nil
}

// Run is called by kong.
func (cmd *pushCmd) Run(p *process) error {
	r, err := cmd.request(p.stdin)
	if err != nil {
		return err
	}
	token, err := cmd.token()
	if err != nil {
		return err
	}
	pusher, err := client.NewPusher(client.PusherOptions{URL: cmd.URL, Token: token})
	if err != nil {
		return usageError{err}
	}
	defer pusher.Close()
	result, err := pusher.Push(p.ctx, r)
	if err != nil {
		return err
	}
	if err := cmd.print(p.stdout, &result); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	if !cmd.reached(&result) {
		return errReported
	}
	return nil
}

func (cmd *pushCmd) request(stdin io.Reader) (r client.PushRequest, err error) {
	r = client.PushRequest{
		ID: cmd.ID, User: cmd.User, Users: cmd.Users, Broadcast: cmd.Broadcast, Content: []byte(cmd.Content),
		Tags: cmd.Tags, Condition: cmd.Condition, Wait: cmd.Wait, Rate: cmd.Rate, Task: cmd.Task,
	}
	if err := r.Ack.UnmarshalText([]byte(cmd.Ack)); err != nil {
		return r, usagef("--ack: %w", err)
	}
	for _, name := range cmd.ClientType {
		var t protocol.ClientType
		if err := t.UnmarshalText([]byte(name)); err != nil {
			return r, usagef("--client-type: %w", err)
		}
		r.ClientTypes = append(r.ClientTypes, t)
	}
	if len(r.Content) == 0 {
		if r.Content, err = io.ReadAll(io.LimitReader(stdin, maxContent+1)); err != nil {
			return r, fmt.Errorf("reading the content: %w", err)
		}
	}
	switch {
	case len(r.Content) == 0:
		return r, usagef("there is nothing to push: give the content as an argument or on standard input")
	case len(r.Content) > maxContent:
		return r, usagef("the content is larger than %d bytes", maxContent)
	}
	return r, nil
}

func (cmd *pushCmd) token() (string, error) {
	if cmd.TokenFile == "" {
		return cmd.Token, nil
	}
	text, err := os.ReadFile(cmd.TokenFile)
	if err != nil {
		return "", usagef("--token-file: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", usagef("--token-file %s is empty", cmd.TokenFile)
	}
	return line, nil
}

// reached tells whether everybody it was for got the message, as far as it was
// waited for.
func (cmd *pushCmd) reached(r *client.PushResult) bool {
	got := func(o protocol.Outcome) bool { return o == protocol.OutcomeAcked || o == protocol.OutcomeSent }
	if !r.Known() {
		return cmd.Wait == 0
	}
	for o, n := range r.Outcomes {
		if n > 0 && !got(o) {
			return false
		}
	}
	return r.Outcomes != nil || got(r.Outcome)
}

func (cmd *pushCmd) print(w io.Writer, r *client.PushResult) error {
	if cmd.JSON {
		return json.NewEncoder(w).Encode(jsonResult(r))
	}
	_, err := fmt.Fprintln(w, sentence(r))
	return err
}

// sentence says in a line what became of a message.
func sentence(r *client.PushResult) string {
	var b strings.Builder
	switch {
	case !r.Known():
		b.WriteString("accepted, outcome not known yet")
	case r.Outcomes != nil:
		b.WriteString(counts(r.Outcomes))
		if len(r.Deliveries) > 0 {
			b.WriteString(" (deliveries: " + counts(r.Deliveries) + ")")
		}
	default:
		b.WriteString(r.Outcome.String())
	}
	if r.Node != "" {
		b.WriteString(" by " + r.Node)
	}
	if r.Latency > 0 {
		fmt.Fprintf(&b, " after %v", r.Latency.Round(10*time.Microsecond))
	}
	if r.Duplicate {
		b.WriteString(", was pushed before")
	}
	return b.String() + ", id " + r.ID
}

// counts lists outcomes with their numbers, most wanted first.
func counts(m map[protocol.Outcome]int) string {
	var parts []string
	for _, o := range slices.Sorted(maps.Keys(m)) {
		if m[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", m[o], o))
		}
	}
	if len(parts) == 0 {
		return "nobody"
	}
	return strings.Join(parts, ", ")
}

// jsonResult has the members of the API's answer.
func jsonResult(r *client.PushResult) any {
	m := map[string]any{"id": r.ID}
	switch {
	case !r.Known():
		m["status"] = "accepted"
	case r.Outcomes != nil:
		m["targets"], m["outcomes"], m["deliveries"] = r.Targets, r.Outcomes, r.Deliveries
		if len(r.Nodes) > 0 {
			m["nodes"] = r.Nodes
		}
	default:
		m["outcome"], m["node"] = r.Outcome, r.Node
	}
	if r.Latency > 0 {
		m["latency_ms"] = float64(r.Latency) / float64(time.Millisecond)
	}
	if r.Duplicate {
		m["duplicate"] = true
	}
	return m
}
