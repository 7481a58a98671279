package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"text/tabwriter"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// loopback is the host of every address of "fanfare run" unless told otherwise.
const loopback = "127.0.0.1"

// runCmd runs everything in one process.
type runCmd struct {
	configFlags
	Listen  string `help:"Host or address for devices, HTTP API, console and metrics: 0.0.0.0 for every interface. Without it: loopback, or what the configuration says." placeholder:"HOST"`
	DataDir string `help:"Directory for sessions and routes, so that they outlive the process. Without it: memory." placeholder:"DIR"`
}

// Help is shown by --help.
func (runCmd) Help() string {
	return `Starts a push node, the allocator with the HTTP API, and the console in one process with an embedded store. It
listens on this machine only, needs no configuration, and uses MPush's published demo key unless it has another.

With --listen and no api.tokens a token for this run is made up and printed, since the API can push to everybody. The
gateway for MPush back ends stays on loopback until node.listen.gateway says otherwise: its protocol has no credentials.

SIGTERM or SIGINT ends it in order, a second one at once.

Examples:

  fanfare run
  fanfare run --data-dir ./data --log.level=debug
  fanfare run --listen 0.0.0.0 --set security.private_key_file=private.pem`
}

// Run is called by kong.
func (cmd *runCmd) Run(p *process) error {
	o := config.Options{Role: config.RoleRun, DefaultHost: loopback, Host: cmd.Listen}
	if cmd.Listen != "" {
		if _, err := net.ResolveIPAddr("ip", cmd.Listen); err != nil {
			return usagef("--listen %q is not an address or host of this machine, such as 0.0.0.0", cmd.Listen)
		}
	}
	if cmd.DataDir != "" {
		o.Set = []config.Assignment{{Source: "--data-dir", Key: "store.dir", Text: cmd.DataDir}}
	}
	c, warnings, err := cmd.load(p, o)
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c.Log)
	logWarnings(log, warnings)
	tokens, made := apiTokens(c)
	s, err := newService(p.ctx, config.RoleRun, c, log)
	if err != nil {
		return err
	}
	if err := s.addAlloc(tokens); err != nil {
		return err
	}
	if err := errors.Join(s.warnOfDemoKey(p.stderr), printToken(p.stderr, tokens, made)); err != nil {
		return s.giveUp(fmt.Errorf("printing a warning: %w", err))
	}
	return s.parts.run(s.ctx, func() { s.printAddresses(p.stdout, len(tokens) > 0) })
}

// apiTokens are the configured tokens, or one made up where the API would be open
// to other machines.
func apiTokens(c *config.Config) (tokens []string, made bool) {
	if c.NeedsToken() {
		return []string{rand.Text()}, true
	}
	for _, t := range c.API.Tokens {
		tokens = append(tokens, t.Reveal())
	}
	return tokens, false
}

// printToken shows a token that was made up. It goes to the terminal only, never to
// the log.
func printToken(w io.Writer, tokens []string, made bool) error {
	if !made {
		return nil
	}
	_, err := fmt.Fprintf(w, `
  The API can be reached from other machines and no api.tokens_file is set.
  Token of this run, asked for by the console and by the API:

      export FANFARE_TOKEN=%s

`, tokens[0])
	return err
}

// printAddresses tells where everything is and what to do next.
func (s *service) printAddresses(w io.Writer, token bool) {
	info := s.node.Info()
	fmt.Fprintf(w, "\nFanfare %s is up.\n\n", thisBuild().Version)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(name, address, what string) {
		if address != "" {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", name, address, what)
		}
	}
	line("devices", info.Device, "MPush binary protocol")
	line("web sockets", info.WebSocket, "MPush JSON protocol")
	line("gateway", info.Gateway, "MPush back ends")
	line("admin console", s.config.Node.Listen.Admin, "text, for operators (telnet)")
	if s.alloc != nil {
		line("allocator, API", url(s.alloc.Addr(), "/"), "")
		line("console", url(s.alloc.Addr(), "/html"), "open it in a browser")
	}
	if s.ops != nil {
		line("metrics", url(s.ops.Addr(), "/metrics"), "")
	}
	t.Flush()
	s.printNextStep(w, info.Device, token)
}

func (s *service) printNextStep(w io.Writer, device string, token bool) {
	if device == "" || s.alloc == nil {
		return
	}
	key := "--demo-key"
	if k, err := s.config.KeyPair(); err == nil && !k.IsDemo() {
		key = "--public-key-file PUBLIC.pem"
	}
	fmt.Fprintf(w, "\nNext: open the console, or be a device in a second terminal and push to it from a third:\n\n")
	fmt.Fprintf(w, "  %s listen --address %s %s --user alice\n", program(), device, key)
	if token {
		fmt.Fprintf(w, "  export FANFARE_TOKEN=...   # a token of the API\n")
	}
	fmt.Fprintf(w, "  %s push --url %s --user alice --wait 3s \"hello\"\n\n", program(), url(s.alloc.Addr(), ""))
}

// url is an address to open on this machine: a wildcard becomes loopback.
func url(a net.Addr, path string) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = loopback
	}
	return "http://" + net.JoinHostPort(host, port) + path
}
