package dingtalk

import (
	"log/slog"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/robot"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// settle does what the result of an attempt asks for, and returns when to look again.
func (l *lane) settle(s *setup, r post, d *draft, result robot.Result) time.Duration {
	if result.Kind == robot.Busy && result.Code == robot.CodeHTTP {
		result.Kind = robot.Network // a proxy's 502 says nothing about the robot
	}
	now, log := l.options.Now(), l.options.Logger.With("target", l.name, "robot", r.Name(), "code", result.Code, "answer", result.Text)
	if result.Doubtful && l.doubt(r, d, now) {
		return l.giveUp(d, "DingTalk takes other messages of the robot, but not this one: "+result.Text, log)
	}
	switch result.Kind {
	case robot.Sent:
		r.gate.succeeded(now)
		l.trust(d)
		l.metrics.success.WithLabelValues(l.name).Set(unix(now))
		l.finish(d, noteSent)
	case robot.RateLimited:
		l.metrics.limited.WithLabelValues(r.Name()).Inc()
		r.gate.ban(later(now.Add(banTime), result.Until))
		log.Warn("DingTalk bans the robot for sending too fast", "for", banTime)
	case robot.Busy:
		banned := r.gate.wasBusy(now)
		log.Warn("DingTalk is busy", "robot_rests", banned)
	case robot.Misconfigured, robot.Disabled:
		if result.Doubtful {
			r.gate.disable(now.Add(doubtTime))
			log.Error("DingTalk misses a keyword in the message; the robot rests, then other messages are tried before this one", "for", doubtTime)
			break
		}
		r.gate.disable(now.Add(disableTime))
		log.Error("DingTalk refuses the robot; it is left out until the configuration is reloaded or an hour has passed", "why", result.Kind.String())
	case robot.TooLong:
		return l.remedy(s, d, triedCut, result, log)
	case robot.Unsafe:
		return l.remedy(s, d, triedPlain, result, log)
	case robot.Malformed:
		return l.giveUp(d, "DingTalk does not take the message: "+result.Text, log)
	default:
		log.Warn("DingTalk cannot be reached", "pause", r.gate.failed(now).Round(time.Millisecond), "status", result.Status)
	}
	return 0
}

// remedy changes a message that was refused for its content, once; then it is given up.
func (l *lane) remedy(s *setup, d *draft, what uint8, result robot.Result, log *slog.Logger) time.Duration {
	if d.entries[0].Tried&what != 0 {
		return l.giveUp(d, "refused again after a remedy ("+result.Kind.String()+"): "+result.Text, log)
	}
	log.Warn("DingTalk refuses the content; trying another form once", "why", result.Kind.String())
	parts := []stored{l.plain(s, d)}
	if what == triedCut {
		parts = d.message.halves()
	}
	if err := l.split(d, parts, what); err != nil {
		return l.trouble(err)
	}
	return 0
}

// giveUp makes a dead letter of a message.
func (l *lane) giveUp(d *draft, reason string, log *slog.Logger) time.Duration {
	log.Error("a message was given up; it is among the dead letters", "why", reason)
	if err := l.bury(d.entries, &d.message, reason); err != nil {
		return l.trouble(err)
	}
	return 0
}

func (l *lane) bury(entries []spool.Entry, m *stored, reason string) error {
	n := count(entries)
	err := l.spool.Bury(entries, spool.DeadLetter{At: l.options.Now(), Target: l.name, Title: m.Title, Text: m.Text[:min(len(m.Text), maxShown)], Reason: reason, Count: n})
	if err != nil {
		return err
	}
	l.metrics.dead.WithLabelValues(l.name).Add(float64(max(n, 1)))
	l.metrics.notes.WithLabelValues(l.name, noteDead).Add(float64(n))
	return nil
}
