package main

import (
	"fmt"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// checkConfigCmd says what a start would say about a configuration.
type checkConfigCmd struct {
	configFlags
	Role      string `help:"What the configuration is for: node, alloc or run." enum:"node,alloc,run" default:"node" name:"for"`
	Reference bool   `help:"Print the description of every setting as Markdown instead."`
}

// Help is shown by --help.
func (checkConfigCmd) Help() string {
	return `Reads the file, the environment and --set as "fanfare node" (or, with --for run, "fanfare run") would, opens the
files with keys, and prints every problem in a line of its own with file, line and key. Exits 0 if there is none, else 2.

Examples:

  fanfare check-config --config /etc/fanfare/fanfare.yaml
  fanfare check-config --config fanfare.yaml --set log.level=debug
  fanfare check-config --reference > CONFIGURATION.md`
}

// Run is called by kong.
func (cmd *checkConfigCmd) Run(p *process) error {
	if cmd.Reference {
		_, err := p.stdout.Write(config.Reference())
		return err
	}
	o := config.Options{Role: config.Role(cmd.Role)}
	if o.Role == config.RoleRun {
		o.DefaultHost = loopback
	}
	_, warnings, err := cmd.load(p, o)
	for _, w := range warnings {
		fmt.Fprintf(p.stderr, "fanfare: warning: %s\n", w)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "the configuration is good")
	return err
}
