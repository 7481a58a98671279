package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// targetName is what prometheus-webhook-dingtalk allows, and switches are named alike.
var targetName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9\-_]*$`)

// Bounds of durations and lists.
const (
	maxDays   = 366 * 24 * time.Hour
	maxNames  = 200 // targets, and switches
	maxRobots = 20  // of one target
)

// config reads the whole file.
func (r *reader) config(c *Config, body ast.Node) {
	var template string
	r.section("", body, map[string]member{
		"no_builtin_template": r.intoBool(&c.NoBuiltinTemplate),
		"template":            r.intoText(&template),
		"templates":           r.intoTexts(&c.Templates),
		"default_message":     r.message(&c.DefaultMessage),
		"ca_file":             r.intoCertificates(&c.CA),
		"timeout":             r.intoDuration(&c.Timeout, 10*time.Millisecond, 5*time.Minute),
		"targets":             r.targets(c),
		"language":            r.language(&c.Language),
		"timezone":            r.timezone(&c.Location),
		"links":               r.links(&c.Links),
		"limits":              r.limits(&c.Limits),
		"digest":              r.digest(c),
		"dedupe":              r.dedupe(c),
		"silence":             r.silence(&c.Silence),
		"deadman":             r.deadmen(c),
	})
	if template != "" {
		c.Templates = append(c.Templates, template)
	}
	r.agree(c)
}

// agree checks what concerns several keys.
func (r *reader) agree(c *Config) {
	if len(c.Targets) == 0 {
		r.problem(0, "targets", "has no target; write one, such as targets: {ops: {url: ...}}")
	}
	for _, name := range sortedKeys(c.Deadman) {
		for _, t := range c.Deadman[name].Targets {
			if c.Targets[t] == nil {
				r.problem(0, "deadman."+name+".targets", "names %q, which is not a target; known: %v", t, c.TargetNames())
			}
		}
	}
	r.robotNames(c)
}

// robotNames refuses one name for two robots: it stands for one in the metrics.
func (r *reader) robotNames(c *Config) {
	urls := map[string]Secret{}
	for _, name := range c.TargetNames() {
		for _, robot := range c.Targets[name].Robots {
			if robot.URL == "" {
				continue
			}
			if other, ok := urls[robot.Name]; ok && other != robot.URL {
				r.problem(robot.line, robot.key+".name", "%q is the name of another robot, too; take another one", robot.Name)
			}
			urls[robot.Name] = robot.URL
		}
	}
}

func (r *reader) message(into *Message) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{"title": r.intoTemplate(&into.Title), "text": r.intoTemplate(&into.Text)})
	}
}

func (r *reader) targets(c *Config) member {
	return func(key string, node ast.Node) {
		r.each(key, node, func(name, key string, node ast.Node) {
			_, line := r.value(node)
			if !targetName.MatchString(name) {
				r.problem(line, key, "is not a name for a target; write a letter, then letters, digits, - and _")
				return
			}
			if len(c.Targets) == maxNames {
				r.problem(line, key, "is one target too many; the most is %d", maxNames)
				return
			}
			c.Targets[name] = r.target(name, key, node)
		})
	}
}

func (r *reader) target(name, key string, node ast.Node) *Target {
	t := &Target{Name: name}
	_, line := r.value(node)
	own := Robot{Name: name, key: key, line: line}
	address, list := false, false
	given := func(what *bool, read member) member {
		return func(key string, node ast.Node) { *what = true; read(key, node) }
	}
	r.section(key, node, map[string]member{
		"url": given(&address, r.intoSecret(&own.URL)), "url_file": given(&address, r.intoSecretFile(&own.URL)),
		"secret": r.intoSecret(&own.Secret), "secret_file": r.intoSecretFile(&own.Secret),
		"robots":  given(&list, r.robots(t)),
		"mention": r.mention(&t.Mention), "message": r.message(&t.Message),
	})
	switch {
	case address && list:
		r.problem(line, key, "has both url and robots; move the url into the list")
	case !address && !list:
		r.problem(line, key, `has neither url, url_file nor robots; write url: "" to only preview its messages`)
	case address:
		r.checkRobot(&own)
		t.Robots = []Robot{own}
	case len(t.Robots) == 0:
		r.problem(line, key+".robots", `is empty; name a robot, or write url: "" instead to only preview the messages`)
	}
	return t
}

func (r *reader) robots(t *Target) member {
	return func(key string, node ast.Node) {
		for i, n := range r.list(key, node) {
			at := fmt.Sprintf("%s[%d]", key, i)
			robot := Robot{key: at, line: lineOf(n)}
			if i == maxRobots {
				r.problem(robot.line, at, "is one robot too many; the most is %d", maxRobots)
				return
			}
			r.section(at, n, map[string]member{
				"name": r.intoText(&robot.Name),
				"url":  r.intoSecret(&robot.URL), "url_file": r.intoSecretFile(&robot.URL),
				"secret": r.intoSecret(&robot.Secret), "secret_file": r.intoSecretFile(&robot.Secret),
			})
			if robot.Name == "" {
				robot.Name = fmt.Sprintf("%s-%d", t.Name, i+1)
			}
			r.checkRobot(&robot)
			t.Robots = append(t.Robots, robot)
		}
	}
}

// checkRobot checks an address. One without a token is none: a file that takes the
// token from the environment then previews.
func (r *reader) checkRobot(robot *Robot) {
	if u, err := url.Parse(robot.URL.Reveal()); err == nil && u.Query().Has("access_token") && u.Query().Get("access_token") == "" {
		robot.URL = ""
	}
	if robot.URL != "" && !isAddress(robot.URL.Reveal()) {
		r.problem(robot.line, robot.key+".url", "must be the robot's address, https://oapi.dingtalk.com/robot/send?access_token=..., as DingTalk shows it")
	}
	if len(robot.Name) > 64 {
		r.problem(robot.line, robot.key+".name", "is longer than 64 bytes")
	}
}

func (r *reader) mention(into *message.Mention) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{
			"all": r.intoBool(&into.All), "mobiles": r.intoTexts(&into.Mobiles),
			"user_ids": r.intoTexts(&into.UserIDs), "severities": r.intoTexts(&into.Severities),
		})
	}
}

func (r *reader) language(into *string) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		switch {
		case !ok || s == "":
		case !slices.Contains([]string{message.Chinese, message.English}, s):
			r.problem(line, key, "must be zh or en")
		default:
			*into = s
		}
	}
}

func (r *reader) timezone(into **time.Location) member {
	return func(key string, node ast.Node) {
		s, line, ok := r.text(key, node)
		if !ok || s == "" {
			return
		}
		zone, err := time.LoadLocation(s)
		if err != nil {
			r.problem(line, key, "must be the name of a time zone, such as Asia/Shanghai or UTC")
			return
		}
		*into = zone
	}
}

func (r *reader) links(into *message.Links) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{
			"grafana_leader": r.intoURL(&into.GrafanaLeader), "grafana_follower": r.intoURL(&into.GrafanaFollower),
			"alertmanager": r.intoURL(&into.Alertmanager), "bridge": r.intoURL(&into.Bridge),
		})
	}
}

func (r *reader) limits(into *Limits) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{
			"per_minute":   r.intoInt(&into.PerMinute, 1, 1000),
			"queue":        r.intoInt(&into.Queue, 1, 1000000),
			"queue_bytes":  r.intoSize(&into.QueueBytes, 1<<20, 64<<30),
			"body":         r.intoSize(&into.Body, 1<<10, 64<<20),
			"max_age":      r.intoDuration(&into.MaxAge, time.Second, maxDays),
			"dead_letters": r.intoInt(&into.DeadLetters, 1, 100000),
		})
	}
}

func (r *reader) digest(c *Config) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{
			"after": r.intoInt(&c.Digest.After, 1, 1000), "drop_resolved": r.intoBool(&c.Digest.DropResolved),
		})
	}
}

func (r *reader) dedupe(c *Config) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{"ttl": r.intoDuration(&c.DedupeTTL, 0, 24*time.Hour)})
	}
}

func (r *reader) silence(into *Silence) member {
	return func(key string, node ast.Node) {
		r.section(key, node, map[string]member{
			"alertmanager": r.intoURL(&into.Alertmanager),
			"duration":     r.intoDuration(&into.Duration, time.Minute, maxDays),
			"link_ttl":     r.intoDuration(&into.LinkTTL, time.Minute, maxDays),
			"key_file":     r.silenceKey(into),
		})
	}
}

// leastKey is the least length of a key that signs links, in bytes.
const leastKey = 16

func (r *reader) silenceKey(into *Silence) member {
	return func(key string, node ast.Node) {
		r.intoSecretFile(&into.Key)(key, node)
		if n := len(into.Key); n > 0 && n < leastKey {
			_, line := r.value(node)
			r.problem(line, key, "names a file with a key of %d bytes; the least is %d. Make one with: openssl rand -hex 32", n, leastKey)
		}
	}
}

func (r *reader) deadmen(c *Config) member {
	return func(key string, node ast.Node) {
		r.each(key, node, func(name, key string, node ast.Node) {
			_, line := r.value(node)
			if !targetName.MatchString(name) {
				r.problem(line, key, "is not a name for a switch; write a letter, then letters, digits, - and _")
				return
			}
			if len(c.Deadman) == maxNames {
				r.problem(line, key, "is one switch too many; the most is %d", maxNames)
				return
			}
			d := Deadman{Interval: 30 * time.Second, Misses: 3, Repeat: time.Hour}
			r.section(key, node, map[string]member{
				"interval": r.intoDuration(&d.Interval, 10*time.Millisecond, 24*time.Hour),
				"misses":   r.intoInt(&d.Misses, 1, 1000),
				"targets":  r.intoTexts(&d.Targets),
				"repeat":   r.intoDuration(&d.Repeat, time.Second, maxDays),
			})
			if len(d.Targets) == 0 {
				r.problem(line, key, "has no targets; name those that are to be told, such as targets: [ops]")
			}
			c.Deadman[name] = d
		})
	}
}
