package dingtalk

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

// What became of a webhook.
const (
	webhookAccepted  = "accepted"
	webhookDuplicate = "duplicate"
	webhookMalformed = "malformed"
	webhookFull      = "full"
	webhookDisk      = "disk"
	webhookTooLarge  = "too_large"
	webhookUnknown   = "unknown"
	webhookSilent    = "silent" // what came to a switch and has no firing alert
)

// What became of a notification.
const (
	noteSent     = "sent"
	noteDigested = "digested"
	notePreview  = "preview"
	noteDead     = "dead_letter"
	noteDropped  = "dropped_resolved"
	noteOther    = "elsewhere" // said by another target with the same robots
)

func webhookResults() []string {
	return []string{webhookAccepted, webhookDuplicate, webhookMalformed, webhookFull, webhookDisk, webhookTooLarge}
}

func beatResults() []string {
	return []string{webhookAccepted, webhookSilent, webhookMalformed, webhookFull, webhookDisk, webhookTooLarge}
}

func noteResults() []string {
	return []string{noteSent, noteDigested, notePreview, noteDead, noteDropped, noteOther}
}

// metrics are the bridge's counters. What can be read off its state is collected at
// each scrape instead, see [collector].
type metrics struct {
	webhooks, beats, notes, responses, limited, digests, truncated, dead, templates *prometheus.CounterVec
	success, reloadOK, reloadTime                                                   *prometheus.GaugeVec
	sending                                                                         *prometheus.HistogramVec
	spoolErrors                                                                     prometheus.Counter
}

const prefix = "fanfare_dingtalk_"

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	m := &metrics{
		webhooks:   counter("webhooks_total", "Webhooks from Alertmanager by what became of them.", "target", "result"),
		beats:      counter("deadman_beats_total", "What came to a switch by what became of it.", "name", "result"),
		notes:      counter("notifications_total", "Accepted notifications by what became of them.", "target", "result"),
		responses:  counter("api_responses_total", "Answers of DingTalk by errcode; http, network, missing and other stand for answers without a known one.", "robot", "errcode"),
		limited:    counter("rate_limited_total", "Answers of DingTalk that banned the robot for sending too fast.", "robot"),
		digests:    counter("digests_total", "Messages sent that merge several notifications.", "target"),
		truncated:  counter("truncated_alerts_total", "Alerts that a sent message left out for want of room.", "target"),
		dead:       counter("dead_letters_total", "Notifications given up.", "target"),
		templates:  counter("template_errors_total", "Messages made without the configured template because it failed.", "target"),
		success:    gauge("last_success_timestamp_seconds", "When a message for the target was last taken by DingTalk, 0 if none was since the start.", "target"),
		reloadOK:   gauge("config_last_reload_successful", "Whether the configuration in use is the one on disk: 1, or 0 if that has a mistake."),
		reloadTime: gauge("config_last_reload_success_timestamp_seconds", "When a configuration was last taken into use."),
		sending: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + "send_duration_seconds",
			Help:    "Time of one request to DingTalk.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.99, 2.5, 4.5, 9.5, 29.5}}, []string{"robot"}),
		spoolErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "spool_errors_total", Help: "Writes of the queue to disk that failed, or that hang."}),
	}
	reg.MustRegister(m.sending, m.spoolErrors)
	m.webhooks.WithLabelValues("", webhookUnknown)
	m.beats.WithLabelValues("", webhookUnknown)
	return m
}

// prepare makes the series of a configuration, at zero.
func (m *metrics) prepare(s *setup) {
	for name, t := range s.targets {
		for _, result := range webhookResults() {
			m.webhooks.WithLabelValues(name, result)
		}
		for _, result := range noteResults() {
			m.notes.WithLabelValues(name, result)
		}
		for _, v := range []*prometheus.CounterVec{m.digests, m.truncated, m.dead, m.templates} {
			v.WithLabelValues(name)
		}
		m.success.WithLabelValues(name)
		for _, r := range t.robots {
			for _, code := range robot.Codes() {
				m.responses.WithLabelValues(r.Name(), code)
			}
			m.limited.WithLabelValues(r.Name())
			m.sending.WithLabelValues(r.Name())
		}
	}
	for name := range s.config.Deadman {
		for _, result := range beatResults() {
			m.beats.WithLabelValues(name, result)
		}
	}
}

// collector reads queues, robots and switches at each scrape.
type collector struct {
	bridge                                                  *Bridge
	depth, oldest, banned, disabled, preview, beat, missing *prometheus.Desc
}

func newCollector(b *Bridge) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, labels, nil)
	}
	return &collector{
		bridge:   b,
		depth:    desc("queue_messages", "Notifications that wait for the target.", "target"),
		oldest:   desc("queue_oldest_timestamp_seconds", "When the oldest waiting notification was accepted, 0 if none waits.", "target"),
		banned:   desc("robot_banned_until_timestamp_seconds", "Until when DingTalk refuses the robot for sending too fast, 0 if it does not.", "robot"),
		disabled: desc("robot_disabled", "Whether DingTalk refuses the robot for good: unknown, stopped or wrongly configured.", "robot"),
		preview:  desc("preview", "Whether the target has no robot and its messages are only shown.", "target"),
		beat:     desc("deadman_last_beat_timestamp_seconds", "When the switch last had a beat, 0 if never.", "name"),
		missing:  desc("deadman_missing", "Whether the beats of the switch have stopped.", "name"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.depth, c.oldest, c.banned, c.disabled, c.preview, c.beat, c.missing} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	b, s, now := c.bridge, c.bridge.setup.Load(), c.bridge.options.Now()
	for _, name := range b.queues(s) {
		gauge(c.depth, float64(b.spool.Depth(name)), name)
		gauge(c.oldest, unix(b.spool.Oldest(name)), name)
	}
	seen := map[string]bool{}
	for _, name := range s.config.TargetNames() {
		gauge(c.preview, truth(s.targets[name].preview()), name)
		for _, r := range s.targets[name].robots {
			if seen[r.Name()] {
				continue
			}
			seen[r.Name()] = true
			banned, disabled, _ := r.gate.status(now)
			gauge(c.banned, unix(banned), r.Name())
			gauge(c.disabled, truth(disabled), r.Name())
		}
	}
	for name, st := range b.deadmen.states() {
		gauge(c.beat, unix(st.Last), name)
		gauge(c.missing, truth(!st.Missing.IsZero()), name)
	}
}
