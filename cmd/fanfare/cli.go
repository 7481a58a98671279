package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/fanfare-push/fanfare/bench"
)

// The exit codes of every subcommand.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong usage or configuration
)

// cli is the command line.
type cli struct {
	Run          runCmd          `cmd:"" help:"Start everything in one process: a push node, the allocator with the HTTP API, and the console."`
	Node         nodeCmd         `cmd:"" help:"Start a push node."`
	Alloc        allocCmd        `cmd:"" help:"Start an allocator: the node list for devices, the HTTP API, the console, discovery for Prometheus."`
	DingTalk     dingtalkCmd     `cmd:"" name:"dingtalk" help:"Start the bridge from Alertmanager to DingTalk robots."`
	Push         pushCmd         `cmd:"" help:"Push one message and tell what became of it."`
	Listen       listenCmd       `cmd:"" help:"Be a device and print what arrives."`
	Dashboards   dashboardsCmd   `cmd:"" help:"List, write or publish the Grafana dashboards."`
	Bench        bench.Command   `cmd:"" help:"Measure this program under load: memory, latency, broadcasts, and whether the books balance."`
	CheckConfig  checkConfigCmd  `cmd:"" help:"Check a configuration as a start would, or print the reference of all settings."`
	ImportConfig importConfigCmd `cmd:"" help:"Turn an mpush.conf into a configuration, and list what was left out."`
	InitSecrets  initSecretsCmd  `cmd:"" help:"Make the secrets of a new cluster: key, token, passwords."`
	CheckHealth  checkHealthCmd  `cmd:"" help:"Ask a process whether it is ready. For health checks of containers."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// process is what a subcommand has of the world around it.
type process struct {
	ctx            context.Context // ends when the process is asked to end
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}

// getenv reads a variable of the process's environment; the last setting counts.
func (p *process) getenv(name string) (value string) {
	for _, e := range p.environ {
		if k, v, ok := strings.Cut(e, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// program is how the user called this program, for command lines to paste.
func program() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "fanfare"
}

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a subcommand that has already said why it failed.
var errReported = errors.New("reported")

// exited is what kong's wish to exit is turned into.
type exited int

// Run runs the program and returns its exit code. When ctx ends the running
// subcommand comes to an orderly end.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) (code int) {
	helped := exitOK
	if len(args) == 0 { // a mistake, to which help is the answer
		args, helped = []string{"--help"}, exitUsage
	}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exited:
			code = max(int(e), helped)
		default:
			panic(e)
		}
	}()
	p := &process{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	parser, err := newParser(p)
	if err != nil {
		return p.fail(err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return p.fail(usageError{err})
	}
	return p.fail(command.Run(p))
}

func newParser(p *process) (*kong.Kong, error) {
	return kong.New(new(cli), kong.Name("fanfare"),
		kong.Description("Fanfare is a push service that can be watched. Phones, PCs and browsers stay connected to it; back ends push to them over HTTP and learn what became of each message. MPush devices and back ends work with it unchanged.\n\nStart with \"fanfare run\"."),
		kong.Writers(p.stdout, p.stderr), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, FlagsLast: true}),
		kong.Resolvers(p), kong.BindTo(p.ctx, (*context.Context)(nil)))
}

// Validate is part of kong's resolver; there is nothing to check.
func (p *process) Validate(*kong.Application) error { return nil }

// Resolve gives a flag with the tag "variable" its value from the environment.
func (p *process) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if name := flag.Tag.Get("variable"); name != "" {
		if v := p.getenv(name); v != "" {
			return v, nil
		}
	}
	return nil, nil
}

// fail prints an error, each of its lines after the program's name, and finds the
// exit code for it.
func (p *process) fail(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailure
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "fanfare: %s\n", strings.TrimRight(line, "\n"))
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}
