package dingtalk

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// composed is compose for a program that may have mistakes: a notification that makes it
// panic costs that notification. Without this the bridge would end, find the notification
// in its spool after the next start, and end again.
func (l *lane) composed(s *setup, t *target, waiting []spool.Entry, short bool) (d *draft, err error) {
	panicked := l.survive(func() { d, err = l.compose(s, t, waiting, short) })
	if panicked == "" {
		return d, err
	}
	guilty := waiting[0]
	if guilty.Kind == spool.Payload { // alone, for it may be another one
		guilty = firstOfGroup(onlyPayloads(waiting), guilty)
		if panicked = l.survive(func() { d, err = l.composeOne(s, t, guilty) }); panicked == "" {
			return d, err
		}
	}
	return nil, l.bury([]spool.Entry{guilty}, &stored{}, "a mistake of the bridge: "+panicked)
}

// survive runs f and returns what it panicked with, if it did.
func (l *lane) survive(f func()) (panicked string) {
	defer func() {
		if p := recover(); p != nil {
			panicked = strings.Join(strings.Fields(fmt.Sprint(p)), " ")
			l.options.Logger.Error("a panic while a message was made; please report it", "target", l.name, "panic", panicked, "stack", string(debug.Stack()))
		}
	}()
	f()
	return ""
}
