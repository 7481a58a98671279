package config

import (
	"github.com/goccy/go-yaml"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// Show returns the configuration as YAML, defaults included and secrets hidden.
func (c *Config) Show() string {
	targets := yaml.MapSlice{}
	for _, name := range c.TargetNames() {
		targets = append(targets, yaml.MapItem{Key: name, Value: showTarget(c.Targets[name])})
	}
	deadmen := yaml.MapSlice{}
	for _, name := range sortedKeys(c.Deadman) {
		d := c.Deadman[name]
		deadmen = append(deadmen, yaml.MapItem{Key: name, Value: yaml.MapSlice{
			{Key: "interval", Value: d.Interval.String()}, {Key: "misses", Value: d.Misses},
			{Key: "targets", Value: d.Targets}, {Key: "repeat", Value: d.Repeat.String()}}})
	}
	l := c.Limits
	out, err := yaml.Marshal(yaml.MapSlice{
		{Key: "no_builtin_template", Value: c.NoBuiltinTemplate},
		{Key: "templates", Value: c.Templates},
		{Key: "default_message", Value: showMessage(c.DefaultMessage)},
		{Key: "timeout", Value: c.Timeout.String()},
		{Key: "targets", Value: targets},
		{Key: "language", Value: c.Language},
		{Key: "timezone", Value: c.Location.String()},
		{Key: "links", Value: yaml.MapSlice{
			{Key: "grafana_leader", Value: Secret(c.Links.GrafanaLeader).Masked()},
			{Key: "grafana_follower", Value: Secret(c.Links.GrafanaFollower).Masked()},
			{Key: "alertmanager", Value: Secret(c.Links.Alertmanager).Masked()},
			{Key: "bridge", Value: Secret(c.Links.Bridge).Masked()}}},
		{Key: "limits", Value: yaml.MapSlice{
			{Key: "per_minute", Value: l.PerMinute}, {Key: "queue", Value: l.Queue}, {Key: "queue_bytes", Value: l.QueueBytes},
			{Key: "body", Value: l.Body}, {Key: "max_age", Value: l.MaxAge.String()}, {Key: "dead_letters", Value: l.DeadLetters}}},
		{Key: "digest", Value: yaml.MapSlice{{Key: "after", Value: c.Digest.After}, {Key: "drop_resolved", Value: c.Digest.DropResolved}}},
		{Key: "dedupe", Value: yaml.MapSlice{{Key: "ttl", Value: c.DedupeTTL.String()}}},
		{Key: "silence", Value: yaml.MapSlice{
			{Key: "alertmanager", Value: Secret(c.Silence.Alertmanager).Masked()},
			{Key: "duration", Value: c.Silence.Duration.String()}, {Key: "link_ttl", Value: c.Silence.LinkTTL.String()}}},
		{Key: "deadman", Value: deadmen},
	})
	if err != nil {
		return "# cannot be shown\n"
	}
	return string(out)
}

func showMessage(m Message) yaml.MapSlice {
	return yaml.MapSlice{{Key: "title", Value: m.Title}, {Key: "text", Value: m.Text}}
}

func showTarget(t *Target) yaml.MapSlice {
	robots := []yaml.MapSlice{}
	for _, r := range t.Robots {
		robots = append(robots, yaml.MapSlice{
			{Key: "name", Value: r.Name}, {Key: "url", Value: r.URL.Masked()}, {Key: "secret", Value: r.Secret.String()}})
	}
	return yaml.MapSlice{
		{Key: "robots", Value: robots}, {Key: "mention", Value: showMention(t.Mention)}, {Key: "message", Value: showMessage(t.Message)}}
}

// showMention counts people instead of showing their numbers.
func showMention(m message.Mention) yaml.MapSlice {
	return yaml.MapSlice{
		{Key: "all", Value: m.All}, {Key: "mobiles", Value: len(m.Mobiles)},
		{Key: "user_ids", Value: len(m.UserIDs)}, {Key: "severities", Value: m.Severities}}
}
