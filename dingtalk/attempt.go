package dingtalk

import (
	"log/slog"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

// attempt sends a message for a target once, by a robot whose place was reserved. ended
// says that the bridge ends and nothing is known.
func (b *Bridge) attempt(target string, r post, m stored) (result robot.Result, ended bool) {
	start := time.Now()
	result = r.Send(b.sendCtx, m.encode())
	if b.sendCtx.Err() != nil && result.Kind != robot.Sent {
		return result, true
	}
	b.metrics.sending.WithLabelValues(r.Name()).Observe(time.Since(start).Seconds())
	b.metrics.responses.WithLabelValues(r.Name(), result.Code).Inc()
	b.recent.add(shown{At: b.options.Now(), Target: target, Robot: r.Name(), Result: result.Kind.String(), Title: m.Title, Text: m.Text})
	if result.Kind == robot.Busy && result.Code == robot.CodeHTTP {
		result.Kind = robot.Network // a proxy's 502 says nothing about the robot
	}
	return result, false
}

// logOf is a log that names an attempt.
func (b *Bridge) logOf(target string, r post, result robot.Result) *slog.Logger {
	return b.options.Logger.With("target", target, "robot", r.Name(), "code", result.Code, "answer", result.Text)
}

// succeeded notes that DingTalk took a message.
func (b *Bridge) succeeded(target string, r post, now time.Time) {
	r.gate.succeeded(now)
	b.metrics.success.WithLabelValues(target).Set(unix(now))
}

// spare leaves a robot alone for as long as a result asks for that is not about the
// message.
func (b *Bridge) spare(r post, result robot.Result, now time.Time, log *slog.Logger) {
	switch result.Kind {
	case robot.RateLimited:
		b.metrics.limited.WithLabelValues(r.Name()).Inc()
		r.gate.ban(later(now.Add(banTime), result.Until))
		log.Warn("DingTalk bans the robot for sending too fast", "for", banTime)
	case robot.Busy:
		banned := r.gate.wasBusy(now)
		log.Warn("DingTalk is busy", "robot_rests", banned)
	case robot.Misconfigured, robot.Disabled:
		if result.Doubtful {
			r.gate.disable(now.Add(doubtTime))
			log.Error("DingTalk misses a keyword in the message; the robot rests, then other messages are tried before this one", "for", doubtTime)
			return
		}
		r.gate.disable(now.Add(disableTime))
		log.Error("DingTalk refuses the robot; it is left out until the configuration is reloaded or an hour has passed", "why", result.Kind.String())
	default:
		log.Warn("DingTalk cannot be reached", "pause", r.gate.failed(now).Round(time.Millisecond), "status", result.Status)
	}
}

// keep writes the state of a gate. If that fails the message goes all the same: to be
// late is worse than to forget, and the spool has said so already.
func (b *Bridge) keep(g *gate) { _ = b.spool.SetState("robot", g.key, g.state(b.options.Now())) }

// preview shows a message of a target without a robot. The page shows links that work, the
// log does not: it is kept longer and read by more people than the alerts are for.
func (b *Bridge) preview(target string, m stored) {
	b.options.Logger.Info("preview: the target has no robot, nothing was sent", "target", target, "title", unsigned(m.Title), "text", unsigned(m.Text))
	b.recent.add(shown{At: b.options.Now(), Target: target, Result: notePreview, Title: m.Title, Text: m.Text})
}
