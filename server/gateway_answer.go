package server

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// Done implements cluster.Tracker. The answers are MPush's, and only those its SDK
// understands: any code but 1, 2 and 3 would hang its caller for ever. An ack that
// did not come is answered by silence; the SDK's own timer tells its caller.
func (b *backEnd) Done(r cluster.Result) {
	b.entry.Done(r)
	b.leave()
	switch {
	case b.user == "" && r.Outcome == protocol.OutcomeRejected:
		b.refuse()
	case b.user == "":
		b.count(exporter.ResultOK)
		b.w.reply(protocol.CmdOK, b.session, &protocol.OK{Command: protocol.CmdGatewayPush})
	default:
		b.answer(r)
	}
}

func (b *backEnd) answer(r cluster.Result) {
	switch r.Outcome {
	case protocol.OutcomeAcked, protocol.OutcomeSent:
		b.count(exporter.ResultOK)
		b.w.reply(protocol.CmdOK, b.session, &protocol.OK{Command: protocol.CmdGatewayPush, Data: b.timeline("success-end", &r)})
	case protocol.OutcomeAckTimeout:
		b.count(exporter.ResultTimeout)
	case protocol.OutcomeOffline, protocol.OutcomeFiltered:
		b.count(exporter.ResultOffline)
		b.error(protocol.CodeOffline, b.timeline("offline-end", &r))
	default:
		b.count(exporter.ResultError)
		b.error(protocol.CodePushFailure, b.timeline("failure-end", &r))
	}
}

func (b *backEnd) refuse() {
	b.count(exporter.ResultRefused)
	b.error(protocol.CodePushFailure, b.timeline("failure-end", &cluster.Result{}))
}

func (b *backEnd) count(r exporter.Result) {
	b.w.node.metrics.GatewayRequests(exporter.DirectionIn, r).Inc()
}

func (b *backEnd) error(code protocol.Code, data string) {
	b.w.reply(protocol.CmdError, b.session, &protocol.Error{Command: protocol.CmdGatewayPush, Code: code, Reason: code.Reason(), Data: data})
}

// timeline is the JSON that MPush's SDK shows: client type (if it is known), the
// points of time alternating with their names, the user.
func (b *backEnd) timeline(end string, r *cluster.Result) string {
	text := make([]byte, 0, 160+len(b.user))
	text = append(text, '{')
	if b.class > 0 {
		text = append(strconv.AppendInt(append(text, `"clientType":`...), int64(b.class), 10), ',')
	}
	point := func(name string, at time.Time) {
		text = append(append(append(text, '"'), name...), '"', ',')
		text = append(strconv.AppendInt(text, at.UnixMilli(), 10), ',')
	}
	text = append(text, `"timePoints":[`...)
	point("push-center-begin", b.start)
	if sent := r.Stages[protocol.StageQueued]; !sent.IsZero() {
		point("before-send", sent)
		if written := r.Stages[protocol.StageWritten]; b.ack != protocol.AckNone && !written.IsZero() {
			point("waiting-ack", written)
		}
	}
	point(end, time.Now())
	text[len(text)-1] = ']'
	user, err := json.Marshal(b.user)
	if err != nil { // a string always marshals
		return ""
	}
	return string(append(append(append(text, `,"userId":`...), user...), '}'))
}
