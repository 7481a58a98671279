package config

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// maxFile bounds the configuration file and each template, in bytes.
const maxFile = 1 << 20

// Load reads and checks a file and those it names. getenv looks a variable up; set has
// values that win over the environment's and the file's, each as key=value. The error is
// [Problems], all that were found.
func Load(file string, getenv func(string) (string, bool), set ...string) (*Config, error) {
	data, err := readFile(file, maxFile)
	if err != nil {
		return nil, Problems{{File: file, Text: err.Error()}}
	}
	return Parse(file, data, getenv, set...)
}

// Parse is [Load] for a file whose content is at hand.
func Parse(file string, data []byte, getenv func(string) (string, bool), set ...string) (*Config, error) {
	r := &reader{file: file, getenv: getenv, anchors: map[string]ast.Node{}}
	c := defaults(file)
	r.assignments(set)
	body := r.parse(data)
	if len(r.problems) == 0 {
		r.config(c, body)
		r.unused()
	}
	if c.Location == nil {
		c.Location = shanghai()
	}
	c.files = r.files
	if len(r.problems) > 0 {
		r.problems.Sort()
		return nil, r.problems
	}
	return c, nil
}

// shanghai is the default time zone; a machine without a time zone database has it, too.
func shanghai() *time.Location {
	if zone, err := time.LoadLocation("Asia/Shanghai"); err == nil {
		return zone
	}
	return time.FixedZone("Asia/Shanghai", 8*60*60)
}

// Globs returns the globs of the templates as they are to be opened.
func (c *Config) Globs() []string {
	globs := make([]string, len(c.Templates))
	for i, g := range c.Templates {
		globs[i] = g
		if found, err := filepath.Glob(g); filepath.IsAbs(g) || err != nil || len(found) > 0 {
			continue
		}
		beside := filepath.Join(filepath.Dir(c.File), g)
		if found, err := filepath.Glob(beside); err == nil && len(found) > 0 {
			globs[i] = beside
		}
	}
	return globs
}

// Files returns every file that the configuration is made of.
func (c *Config) Files() []string {
	files := append([]string{c.File}, c.files...)
	for _, g := range c.Globs() {
		found, _ := filepath.Glob(g) // a bad pattern fails when the templates are loaded
		files = append(files, found...)
	}
	return files
}

// Folders returns the folders to watch for changes of [Config.Files].
func (c *Config) Folders() []string {
	var folders []string
	for _, f := range append(c.Files(), c.Globs()...) {
		folders = append(folders, filepath.Dir(f))
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// Fingerprint changes when one of [Config.Files] does.
func (c *Config) Fingerprint() [32]byte {
	h := sha256.New()
	for _, f := range c.Files() {
		data, err := readFile(f, maxFile)
		fmt.Fprintf(h, "%s %v %d\n", f, err, len(data))
		h.Write(data)
	}
	return [32]byte(h.Sum(nil))
}
