package message

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"time"
)

// Languages of the built-in messages.
const (
	Chinese = "zh"
	English = "en"
)

// The templates of a message for which none is configured.
const (
	defaultTitle = `{{ template "ding.link.title" . }}`
	defaultText  = `{{ template "ding.link.content" . }}`
)

const (
	mostTemplate = 1 << 20 // bytes of a file of templates
	mostCached   = 64      // pairs of title and text that are kept parsed
)

//go:embed templates/builtin.tmpl
var builtin embed.FS

// Links are base addresses that people's browsers reach, "" where there is none.
type Links struct{ GrafanaLeader, GrafanaFollower, Alertmanager, Bridge string }

// Options configure [LoadTemplates].
type Options struct {
	// Builtin loads the built-in templates; the files of Globs may define some of them anew.
	Builtin bool
	Globs   []string
	// Language is [Chinese] or [English]; "" means Chinese.
	Language string
	// Location is where the readers live; nil means UTC.
	Location *time.Location
	Links    Links
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Templates make messages. They are safe for use by several goroutines.
type Templates struct {
	options Options
	words   words
	root    *template.Template

	mu     sync.Mutex
	cached map[[2]string]*pair
}

// pair is the templates of a message.
type pair struct{ title, text *template.Template }

// LoadTemplates parses the templates. The error names the file and the line.
func LoadTemplates(o Options) (*Templates, error) {
	if o.Language == "" {
		o.Language = Chinese
	}
	if o.Language != Chinese && o.Language != English {
		return nil, fmt.Errorf("language %q is neither zh nor en", o.Language)
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Templates{options: o, words: words{chinese: o.Language == Chinese, zone: o.Location, now: o.Now}, cached: map[[2]string]*pair{}}
	t.root = template.New("").Option("missingkey=zero").Funcs(t.functions())
	if o.Builtin {
		text, err := builtin.ReadFile("templates/builtin.tmpl")
		if err != nil {
			return nil, fmt.Errorf("reading the built-in templates: %w", err)
		}
		if _, err := t.root.New("builtin.tmpl").Parse(string(text)); err != nil {
			return nil, fmt.Errorf("parsing the built-in templates: %w", err)
		}
	}
	for _, glob := range o.Globs {
		if err := t.load(glob); err != nil {
			return nil, err
		}
	}
	if err := circle(t.root); err != nil {
		return nil, err
	}
	clocked(t.root)
	return t, nil
}

// load parses the files that a pattern names, of which there must be some.
func (t *Templates) load(glob string) error {
	files, err := filepath.Glob(glob)
	if err != nil {
		return fmt.Errorf("templates %q: %w", glob, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("templates %q: no file has such a name", glob)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Size() > mostTemplate {
			return fmt.Errorf("templates %s: the file is longer than %d bytes", file, mostTemplate)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading templates: %w", err)
		}
		if _, err := t.root.New(filepath.Base(file)).Parse(string(text)); err != nil {
			return fmt.Errorf("templates %s: %w", file, err)
		}
	}
	return nil
}

// compile parses a target's own templates; "" stands for the default.
func (t *Templates) compile(title, text string) (*pair, error) {
	key := [2]string{title, text}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.cached[key]; p != nil {
		return p, nil
	}
	if title == "" {
		title = defaultTitle
	}
	if text == "" {
		text = defaultText
	}
	root, err := t.root.Clone()
	if err != nil {
		return nil, fmt.Errorf("copying the templates: %w", err)
	}
	var p pair
	if p.title, err = root.New("title").Parse(title); err != nil {
		return nil, fmt.Errorf("the template of the title: %w", err)
	}
	if p.text, err = root.New("text").Parse(text); err != nil {
		return nil, fmt.Errorf("the template of the text: %w", err)
	}
	if err := circle(root); err != nil {
		return nil, err
	}
	clocked(root)
	if len(t.cached) >= mostCached {
		clear(t.cached)
	}
	t.cached[key] = &p
	return &p, nil
}

// execute runs a template. What it wrote is returned with the error too.
func execute(t *template.Template, d *data) (string, error) {
	out := output{deadline: time.Now().Add(mostTime)}
	err := t.Execute(&out, d)
	return tidy(out.String()), err
}

// Check parses the templates that a target has for itself ("" for the default ones) and
// runs them on the samples.
func (t *Templates) Check(title, text string) error {
	for _, s := range t.Samples() {
		if len(s.Payloads) != 1 {
			continue
		}
		if _, err := t.Render(Input{Target: "sample", Payload: s.Payloads[0], Title: title, Text: text}); err != nil {
			return fmt.Errorf("with the sample %q: %w", s.Title, err)
		}
	}
	return nil
}

// circle returns an error if a template calls itself, by way of others or not: it would
// only end when the stack is full.
func circle(root *template.Template) error {
	done := map[string]bool{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if i := slices.Index(path, name); i >= 0 {
			return fmt.Errorf("the template %q calls itself: %s", name, strings.Join(append(path[i:], name), " → "))
		}
		t := root.Lookup(name)
		if t == nil || t.Tree == nil || done[name] {
			return nil
		}
		for _, called := range calledBy(t.Root) {
			if err := visit(called, append(path, name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	var errs []error
	for _, t := range root.Templates() {
		if errs = append(errs, visit(t.Name(), nil)); errs[len(errs)-1] != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// calledBy returns the names of the templates that a list of nodes calls.
func calledBy(list *parse.ListNode) []string {
	if list == nil {
		return nil
	}
	var names []string
	branch := func(b parse.BranchNode) { names = append(append(names, calledBy(b.List)...), calledBy(b.ElseList)...) }
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TemplateNode:
			names = append(names, n.Name)
		case *parse.IfNode:
			branch(n.BranchNode)
		case *parse.RangeNode:
			branch(n.BranchNode)
		case *parse.WithNode:
			branch(n.BranchNode)
		case *parse.ListNode:
			names = append(names, calledBy(n)...)
		}
	}
	return names
}
