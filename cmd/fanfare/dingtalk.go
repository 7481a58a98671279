package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/dingtalk"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
	"github.com/fanfare-push/fanfare/exporter"
)

// dingtalkCmd runs the bridge from Alertmanager to DingTalk. Its flags are those of
// prometheus-webhook-dingtalk, and a few more.
type dingtalkCmd struct {
	Config    string   `name:"config" aliases:"config.file" help:"Configuration file (YAML of prometheus-webhook-dingtalk; also --config.file)." placeholder:"FILE" default:"config.yml" short:"c"`
	DataDir   string   `name:"data-dir" help:"Where the queue is kept. Losing it loses what waits." placeholder:"DIR" default:"data"`
	Listen    string   `name:"web.listen-address" help:"Address to listen on." placeholder:"HOST:PORT" default:":8060"`
	UI        bool     `name:"web.enable-ui" help:"Serve /ui and /api/v1/status/config: state, latest messages, previews. Read-only, without credentials." negatable:""`
	Lifecycle bool     `name:"web.enable-lifecycle" help:"Let POST /-/reload read the configuration again. SIGHUP and changed files do so anyway." negatable:""`
	Check     bool     `name:"check" help:"Check the configuration and the templates as a start would, and end."`
	Set       []string `name:"set" help:"Set one value of the configuration, for example --set limits.per_minute=12 or --set targets.ops.url_file=/run/secrets/ops. Repeatable; wins over file and environment." placeholder:"KEY=VALUE" sep:"none"`
	Resend    bool     `name:"resend-dead-letters" help:"Put the dead letters of --data-dir back into the queue, and end. The bridge must be stopped."`
	LogLevel  string   `name:"log.level" help:"Least level to log: debug, info, warn or error." placeholder:"LEVEL" default:"info"`
	LogFormat string   `name:"log.format" help:"Format of the log: text (or logfmt) or json." placeholder:"FORMAT" default:"text"`
}

// Help is shown by --help.
func (dingtalkCmd) Help() string {
	return `Takes Alertmanager's webhooks on port 8060 and posts them to DingTalk's custom robots. It takes the place of
prometheus-webhook-dingtalk: same addresses (/dingtalk/<target>/send), same YAML, same templates, same flags.

An answer of 200 means that the notification is on disk. It is then sent as fast as DingTalk allows, in digests when there are many,
until DingTalk says that it has it. A target with an empty url only shows what it would send, in the log and at /ui.

Keys with a single value, and lists, can be set by --set targets.ops.url_file=FILE, or by the environment: FANFARE_DINGTALK_LIMITS_PER_MINUTE.

SIGHUP reads the configuration again, as does a change of its files; one with a mistake is reported and not used. SIGTERM or SIGINT
ends it in order, a second one at once; what waits is sent after the next start.

Examples:

  fanfare dingtalk --config.file=config.yml --data-dir /var/lib/fanfare-dingtalk
  fanfare dingtalk --config config.yml --check
  fanfare dingtalk --data-dir /var/lib/fanfare-dingtalk --resend-dead-letters`
}

// Run is called by kong.
func (cmd *dingtalkCmd) Run(p *process) error {
	log, err := cmd.logger(p)
	if err != nil {
		return err
	}
	if cmd.Resend {
		return cmd.resend(p)
	}
	o := dingtalk.Options{ConfigFile: cmd.Config, Set: cmd.Set, DataDir: cmd.DataDir, EnableUI: cmd.UI, EnableLifecycle: cmd.Lifecycle,
		Getenv: p.lookupEnv, Logger: log, Version: thisBuild().Version, Registry: exporter.NewRegistry(thisBuild())}
	if cmd.Check {
		if err := dingtalk.Check(o); err != nil {
			return usageError{err}
		}
		fmt.Fprintf(p.stdout, "%s: no mistake found\n", cmd.Config)
		return nil
	}
	hangups := make(chan os.Signal, 1) // before anything that takes time: a hangup ends a process that does not expect it
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if o.Listener, err = net.Listen("tcp", cmd.Listen); err != nil {
		return fmt.Errorf("%w (--web.listen-address)", err)
	}
	bridge, err := dingtalk.New(o)
	if err != nil {
		o.Listener.Close()
		return usageError{err}
	}
	parts := parts{log: log}
	parts.add(part{name: "DingTalk bridge", start: func() error { bridge.Start(); return nil }, stop: bridge.Stop})
	return parts.run(p.ctx, func() { go reloadOn(hangups, p.ctx.Done(), bridge.Reload) })
}

// resend puts the dead letters of a stopped bridge back into its queue.
func (cmd *dingtalkCmd) resend(p *process) error {
	letters, notifications, err := spool.Resend(cmd.DataDir)
	if letters > 0 || err == nil {
		fmt.Fprintf(p.stdout, "%s: %d dead letters with %d notifications wait again\n", cmd.DataDir, letters, notifications)
	}
	if err != nil {
		return fmt.Errorf("%w (--data-dir)", err)
	}
	return nil
}

// reloadOn reads the configuration again at each signal. What is wrong with it is logged
// by the bridge.
func reloadOn(hangups <-chan os.Signal, done <-chan struct{}, reload func() error) {
	for {
		select {
		case <-done:
			return
		case <-hangups:
			_ = reload()
		}
	}
}

// logger makes the log; logfmt is what prometheus-webhook-dingtalk called text.
func (cmd *dingtalkCmd) logger(p *process) (*slog.Logger, error) {
	format := strings.Replace(cmd.LogFormat, "logfmt", "text", 1)
	if format != "text" && format != "json" {
		return nil, usagef("--log.format must be text or json, not %q", cmd.LogFormat)
	}
	if new(slog.LevelVar).UnmarshalText([]byte(cmd.LogLevel)) != nil {
		return nil, usagef("--log.level must be debug, info, warn or error, not %q", cmd.LogLevel)
	}
	return newLogger(p.stderr, config.Log{Level: cmd.LogLevel, Format: format}), nil
}

// lookupEnv finds a variable of the process's environment.
func (p *process) lookupEnv(name string) (string, bool) {
	for _, e := range p.environ {
		if k, _, ok := strings.Cut(e, "="); ok && k == name {
			return p.getenv(name), true
		}
	}
	return "", false
}
