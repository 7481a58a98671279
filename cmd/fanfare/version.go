package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/fanfare-push/fanfare/exporter"
)

// version and revision are set by the linker (see the Makefile).
var version, revision string

// versionCmd prints what was built.
type versionCmd struct {
	JSON bool `help:"Print as JSON." name:"json"`
}

// Run is called by kong.
func (cmd *versionCmd) Run(p *process) error {
	b := thisBuild()
	if cmd.JSON {
		return json.NewEncoder(p.stdout).Encode(map[string]string{
			"version": b.Version, "revision": b.Revision, "goversion": b.GoVersion, "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	_, err := fmt.Fprintf(p.stdout, "fanfare %s (revision %s, %s, %s/%s)\n", b.Version, b.Revision, b.GoVersion, runtime.GOOS, runtime.GOARCH)
	return err
}

// thisBuild is what the linker was given, or else what go build recorded.
func thisBuild() exporter.Build {
	b := exporter.Build{Version: version, Revision: revision, GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && b.Revision == "" {
			b.Revision = s.Value[:12]
		}
	}
	if b.Revision == "" {
		b.Revision = "unknown"
	}
	return b
}
