package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// configFlags are the flags of every subcommand that takes a configuration.
type configFlags struct {
	Config    string   `help:"Configuration file (YAML)." placeholder:"FILE" short:"c"`
	Set       []string `help:"Set one setting, for example --set limits.max_packet_size=64k. Repeatable; wins over file and environment." placeholder:"SECTION.KEY=VALUE" sep:"none"`
	LogLevel  string   `name:"log.level" help:"Least level to log: debug, info, warn or error." placeholder:"LEVEL"`
	LogFormat string   `name:"log.format" help:"Format of the log: text or json." placeholder:"FORMAT"`
}

// load builds the configuration. o says what is special about the subcommand; the
// flags are added to it.
func (f *configFlags) load(p *process, o config.Options) (*config.Config, []config.Problem, error) {
	o.File, o.Environ = f.Config, p.environ
	for _, a := range []config.Assignment{
		{Source: "--log.level", Key: "log.level", Text: f.LogLevel},
		{Source: "--log.format", Key: "log.format", Text: f.LogFormat},
	} {
		if a.Text != "" {
			o.Set = append(o.Set, a)
		}
	}
	for _, arg := range f.Set {
		a, err := config.ParseSet(arg)
		if err != nil {
			return nil, nil, usageError{err}
		}
		o.Set = append(o.Set, a)
	}
	c, warnings, err := config.Load(o)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	return c, warnings, nil
}

// newLogger writes records to w as the configuration says. Its values are among
// those the configuration admits.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed the configuration: %v", c.Level, err))
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// logWarnings logs what the configuration's reader found odd.
func logWarnings(log *slog.Logger, warnings []config.Problem) {
	for _, w := range warnings {
		log.Warn("configuration: " + w.String())
	}
}
