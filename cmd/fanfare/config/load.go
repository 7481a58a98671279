package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// Assignment is one setting given outside the file.
type Assignment struct {
	Source string // how it was given, for problems: "--set", "--data-dir"
	Key    string
	Text   string
}

// ParseSet splits the argument of --set, section.key=value.
func ParseSet(arg string) (Assignment, error) {
	key, text, ok := strings.Cut(arg, "=")
	if !ok || key == "" {
		return Assignment{}, fmt.Errorf("--set needs section.key=value, such as --set limits.max_packet_size=64k")
	}
	return Assignment{Source: "--set", Key: strings.TrimSpace(key), Text: text}, nil
}

// Options says where a configuration comes from. Later ones win: the defaults,
// File, Environ, Host, Set.
type Options struct {
	Role        Role         // what will be started with it
	File        string       // a YAML file; empty = none
	Environ     []string     // NAME=value, as from os.Environ
	DefaultHost string       // host of the public addresses where nothing names one; empty = as declared
	GatewayHost string       // host of node.listen.gateway in a cluster where nothing names one; empty = as declared
	Host        string       // host that the public addresses get whatever the file says; empty = leave them
	Set         []Assignment // from the command line
}

// Load builds a configuration from all its sources, reads the files that hold
// secrets and checks everything. The error is a [Problems] with every problem that
// was found. The warnings do not stop a start.
func Load(o Options) (c *Config, warnings []Problem, err error) {
	l := newLoader()
	l.rehost(o.DefaultHost)
	if o.File != "" {
		l.loadFile(o.File)
	}
	l.loadEnviron(o.Environ)
	l.rehost(o.Host)
	for _, a := range o.Set {
		l.loadAssignment(a)
	}
	l.openGateway(o.GatewayHost)
	if !l.unread {
		l.readSecrets()
		l.check(o.Role)
	}
	if len(l.problems) > 0 {
		l.problems.Sort()
		return nil, l.warnings, l.problems
	}
	return l.config, l.warnings, nil
}

type layer int

const (
	layerDefault layer = iota
	layerFile
	layerEnviron
	layerSet
)

// origin is where the present value of a setting comes from.
type origin struct {
	layer layer
	file  string
	line  int
}

type loader struct {
	config   *Config
	fields   map[string]Field
	sections map[string]bool // with the closing dot
	keys     []string        // of all fields in order
	origins  map[string]origin
	problems Problems
	warnings []Problem
	unread   bool // the file could not be read as a whole: what it lacks says nothing
}

func newLoader() *loader {
	l := &loader{config: new(Config), fields: map[string]Field{}, sections: map[string]bool{}, origins: map[string]origin{}}
	for _, f := range Fields() {
		l.fields[f.Key], l.keys = f, append(l.keys, f.Key)
		for i, c := range f.Key {
			if c == '.' {
				l.sections[f.Key[:i+1]] = true
			}
		}
		if err := f.set(l.config, f.Default); err != nil && f.Default != "" {
			panic("default of " + f.Key + ": " + err.Error()) // a test loads the defaults
		}
	}
	return l
}

// Default is the configuration of a program that is given nothing.
func Default() *Config { return newLoader().config }

// names lists what may stand directly in a section.
func (l *loader) names(prefix string) []string {
	var names []string
	for _, k := range l.keys {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (l *loader) loadFile(name string) {
	data, err := readFile(name, maxFile)
	if err != nil {
		l.problems, l.unread = append(l.problems, Problem{File: name, Text: err.Error()}), true
		return
	}
	yamlLayer{l, name}.read(data)
}

// loadEnviron takes the variables that name a setting. Others are left alone, as
// container platforms add FANFARE_ variables of their own; one that looks like a
// slip of the pen is a warning.
func (l *loader) loadEnviron(environ []string) {
	byEnv := map[string]Field{}
	var names []string
	for _, k := range l.keys {
		byEnv[l.fields[k].Env] = l.fields[k]
		names = append(names, strings.ToLower(l.fields[k].Env))
	}
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		f, ok := byEnv[name]
		switch {
		case ok:
			l.assign(f, origin{layer: layerEnviron, file: name}, func() error { return f.set(l.config, text) })
		case strings.HasPrefix(name, "FANFARE_"):
			if n := nearest(name, names); n != "" {
				l.warnings = append(l.warnings, Problem{File: "environment", Key: name, Text: "is not a known variable; did you mean " + strings.ToUpper(n) + "?"})
			}
		}
	}
}

func (l *loader) loadAssignment(a Assignment) {
	f, ok := l.fields[a.Key]
	if !ok {
		l.problems = append(l.problems, Problem{File: a.Source, Key: a.Key, Text: "is not a known key" + didYouMean(a.Key, l.keys)})
		return
	}
	l.assign(f, origin{layer: layerSet, file: a.Source}, func() error { return f.set(l.config, a.Text) })
}

// assign sets a field, remembers where its value comes from and settles with its
// twin: the value that was given later wins, two in one layer are a problem.
func (l *loader) assign(f Field, from origin, set func() error) {
	if err := set(); err != nil {
		l.problems = append(l.problems, Problem{File: from.file, Line: from.line, Key: f.Key, Text: err.Error()})
		return
	}
	l.origins[f.Key] = from
	twin, ok := l.twin(f.Key)
	if !ok {
		return
	}
	if other, given := l.origins[twin.Key]; given {
		if other.layer == from.layer {
			l.problems = append(l.problems, Problem{File: from.file, Line: from.line, Key: f.Key, Text: "and " + twin.Key + " are both given; keep one"})
			return
		}
		delete(l.origins, twin.Key)
		twin.value(l.config).SetZero()
	}
}

// twin is the other of a key and its _file key.
func (l *loader) twin(key string) (Field, bool) {
	other, isFile := strings.CutSuffix(key, "_file")
	if !isFile {
		other = key + "_file"
	}
	f, ok := l.fields[other]
	return f, ok
}

// rehost gives the public addresses another host and keeps their ports. One that
// is turned off stays so.
func (l *loader) rehost(host string) {
	if host == "" {
		return
	}
	for _, k := range l.keys {
		f := l.fields[k]
		if !f.Public {
			continue
		}
		if _, port, err := net.SplitHostPort(f.value(l.config).String()); err == nil {
			f.value(l.config).SetString(net.JoinHostPort(host, port))
		}
	}
}

// openGateway moves a gateway that nobody placed to where other nodes can reach it.
func (l *loader) openGateway(host string) {
	const key = "node.listen.gateway"
	c := l.config
	clustered := c.Registry.Kind == "zookeeper" || len(c.Registry.Nodes) > 0
	if _, placed := l.origins[key]; placed || host == "" || !clustered {
		return
	}
	if _, port, err := net.SplitHostPort(c.Node.Listen.Gateway); err == nil {
		c.Node.Listen.Gateway = net.JoinHostPort(host, port)
	}
}

// at makes a problem that points to where the key got its value.
func (l *loader) at(key, format string, args ...any) {
	o := l.origins[key]
	l.problems = append(l.problems, Problem{File: o.file, Line: o.line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// path makes a file name given in the configuration file relative to that file.
func (l *loader) path(key, name string) string {
	if o := l.origins[key]; o.layer == layerFile && name != "" && !filepath.IsAbs(name) {
		return filepath.Join(filepath.Dir(o.file), name)
	}
	return name
}
