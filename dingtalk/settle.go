package dingtalk

import (
	"log/slog"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/robot"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// settle does what the result of an attempt asks for, and returns when to look again.
func (l *lane) settle(s *setup, r post, d *draft, result robot.Result) time.Duration {
	now, log := l.options.Now(), l.logOf(l.name, r, result)
	if result.Doubtful && l.doubt(r, d, now) {
		return l.giveUp(d, "DingTalk takes other messages of the robot, but not this one: "+result.Text, log)
	}
	switch result.Kind {
	case robot.Sent:
		l.succeeded(l.name, r, now)
		l.trust(d)
		l.finish(d, noteSent)
	case robot.TooLong:
		return l.remedy(s, d, triedCut, result, log)
	case robot.Unsafe:
		return l.remedy(s, d, triedPlain, result, log)
	case robot.Malformed:
		return l.giveUp(d, "DingTalk does not take the message: "+result.Text, log)
	default:
		l.spare(r, result, now, log)
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
