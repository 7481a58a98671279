//go:build linux

package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// What keys of the shipped files hold. A duration under any other key is an error: it
// is for a person to say what becomes of it in lapsed time.
var (
	// intervals are how often something happens.
	intervals = []string{"scrape_interval", "evaluation_interval", "refresh_interval", "interval"}
	// spans are how long something lasts.
	spans = []string{"keep_firing_for", "group_wait", "repeat_interval", "resolve_timeout", "max_age", "ttl", "repeat"}
	// waits are how long news may be held back.
	waits = []string{"for", "group_interval"}
	// kept are as long in lapsed time: how long one request may take, and what a
	// button offers.
	kept = []string{"timeout", "duration", "link_ttl"}
	// texts hold what people read and what series are told apart by.
	texts = []string{"labels", "annotations", "external_labels", "links"}
	// absent is left out: the names of the profile "ha", which nobody has here either,
	// but a name server would have to say so.
	absent = []string{"dns_sd_configs"}
)

// renderer makes of a shipped file one for the processes of the test.
type renderer struct {
	lapse  lapse
	scrape time.Duration     // how often samples come, lapsed
	paths  map[string]string // of folders in containers
	// hosts are where services are that have a name and port. A name that is not there is
	// an error.
	hosts map[string]string
	// proxy, if set, is through which everybody is reached: names stay.
	proxy string
}

// file renders one YAML file.
func (r *renderer) file(shipped []byte) ([]byte, error) {
	comments := yaml.CommentMap{}
	var document any
	if err := yaml.UnmarshalWithOptions(shipped, &document, yaml.UseOrderedMap(), yaml.CommentToMap(comments)); err != nil {
		return nil, err
	}
	w := &walk{renderer: r, comments: comments}
	rendered, err := w.value("$", "", document)
	if err != nil {
		return nil, err
	}
	return yaml.MarshalWithOptions(rendered, yaml.UseLiteralStyleIfMultiline(true))
}

// folder renders all YAML files of a folder into another one, and copies the rest.
func (r *renderer) folder(from, to string) error {
	return filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if e.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if ext := filepath.Ext(name); ext == ".yml" || ext == ".yaml" {
			if text, err = r.file(text); err != nil {
				return fmt.Errorf("rendering %s: %w", path, err)
			}
		}
		return os.WriteFile(target, text, 0o644)
	})
}

// walk is the rendering of one file.
type walk struct {
	*renderer
	comments yaml.CommentMap
}

// value renders what stands at a path under a key.
func (w *walk) value(path, key string, v any) (any, error) {
	switch v := v.(type) {
	case yaml.MapSlice:
		return w.mapping(path, v)
	case []any:
		list := make([]any, len(v)) // an alias stands for the same list
		for i := range v {
			item, err := w.value(fmt.Sprintf("%s[%d]", path, i), key, v[i])
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	case string:
		text, err := w.text(path, key, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return text, nil
	}
	return v, nil
}

func (w *walk) mapping(path string, m yaml.MapSlice) (any, error) {
	var rendered yaml.MapSlice // another one: an alias stands for the same mapping
	for _, item := range m {
		key := fmt.Sprint(item.Key)
		if slices.Contains(absent, key) {
			continue
		}
		if slices.Contains(texts, key) {
			rendered = append(rendered, item)
			continue
		}
		if key == "track_timestamps_staleness" && item.Value == true { // Debian's Prometheus lacks it
			rendered = append(rendered, yaml.MapItem{Key: "honor_timestamps", Value: false})
			continue
		}
		v, err := w.value(path+"."+key, key, item.Value)
		if err != nil {
			return nil, err
		}
		rendered = append(rendered, yaml.MapItem{Key: item.Key, Value: v})
	}
	return append(rendered, w.through(path)...), nil
}

// asking are the places in a file that say whom to ask over HTTP.
var (
	asking    = regexp.MustCompile(`^\$\.(scrape_configs\[\d+\]|alerting\.alertmanagers\[\d+\])$|\.http_sd_configs\[\d+\]$`)
	notifying = regexp.MustCompile(`\.webhook_configs\[\d+\]$`)
)

// through is what makes a request go through the proxy.
func (w *walk) through(path string) yaml.MapSlice {
	setting := yaml.MapSlice{{Key: "proxy_url", Value: w.proxy}}
	switch {
	case w.proxy == "":
		return nil
	case asking.MatchString(path):
		return setting
	case notifying.MatchString(path):
		return yaml.MapSlice{{Key: "http_config", Value: setting}}
	}
	return nil
}

// text renders one text.
func (w *walk) text(path, key, text string) (string, error) {
	switch {
	case key == "expr":
		return w.expr(path, text)
	case slices.Contains(intervals, key):
		return lapsed(text, w.lapse.interval)
	case slices.Contains(spans, key):
		return lapsed(text, w.lapse.of)
	case slices.Contains(waits, key):
		return lapsed(text, w.lapse.wait)
	case key == "scrape_timeout": // may not be longer than the interval
		return lapsed(text, func(d time.Duration) time.Duration { return min(w.scrape, d) })
	case slices.Contains(kept, key):
		return text, nil
	}
	if d, err := parseDuration(text); err == nil && d != 0 {
		return "", fmt.Errorf("%q is a duration and nothing says what becomes of it in lapsed time", text)
	}
	if strings.HasPrefix(text, "/") && (strings.Contains(key, "file") || strings.HasPrefix(key, "template")) {
		return w.place(text)
	}
	return w.addresses(text)
}

func (w *walk) expr(path, text string) (string, error) {
	seconds := slices.ContainsFunc(w.comments[path], func(c *yaml.Comment) bool {
		return c.Position == yaml.CommentLinePosition && inSeconds.MatchString(strings.Join(c.Texts, " "))
	})
	text, err := w.lapse.expression(text, w.scrape, seconds)
	if err != nil {
		return "", err
	}
	all, err := tokenize(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range all {
		if p.kind == quoted {
			if p.text, err = w.addresses(p.text); err != nil {
				return "", err
			}
		}
		b.WriteString(p.text)
	}
	return b.String(), nil
}

func lapsed(text string, by func(time.Duration) time.Duration) (string, error) {
	d, err := parseDuration(text)
	if err != nil {
		return "", err
	}
	return formatDuration(by(d)), nil
}

// place finds a file of a container.
func (w *walk) place(text string) (string, error) {
	for folder, here := range w.paths {
		if rest, ok := strings.CutPrefix(text, folder+"/"); ok {
			return here + "/" + rest, nil
		}
	}
	return "", fmt.Errorf("the test has no folder for %s", text)
}

// service is a name of docker-compose.yml with a port.
var service = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_.-]*:[0-9]{2,5}\b`)

// addresses replaces the names of services, unless there is a proxy that knows them. One
// that the test does not run is an error.
func (w *walk) addresses(text string) (_ string, err error) {
	text = service.ReplaceAllStringFunc(text, func(found string) string {
		here, ok := w.hosts[found]
		if !ok && err == nil {
			err = fmt.Errorf("the test runs no %s", found)
		}
		if w.proxy != "" {
			return found
		}
		return here
	})
	return text, err
}
