package server_test

import (
	"fmt"
	"slices"
	"strings"
)

// hangsUp stands for the client's close where a deviation replaces it.
const hangsUp = "client hangs up"

// deviation is a place where Java MPush is wrong and a node answers otherwise, in a
// way that its clients cannot tell or see as an improvement.
type deviation struct {
	transcript string
	conns      []int    // empty: any
	recorded   string   // start of what the Java server said, or hangsUp
	ours       []string // what comes instead; what follows closedByServer is void
	why        string
}

const (
	error100    = ` 100 "handle message error" ""`
	webWelcomed = `text {"bodyLength":0,"cmd":2,"flags":16,"sessionId":1}`
)

var deviations = []deviation{
	{"04-fast-connect-errors", []int{6}, "KICK", nil,
		"10.2.4: a second FAST_CONNECT leaves a ghost of the first binding, which the next BIND of the very connection kicks"},
	{"06-handshake-errors", []int{21}, "HANDSHAKE", []string{"ERROR flags=0 session=1 HANDSHAKE" + error100, closedByServer},
		"10.3.8: a handshake is decrypted in 32 RSA blocks at most; a device id of 5000 bytes needs 44"},
	{"07-bind-errors", []int{2}, "ERROR", []string{"ERROR flags=0 session=1 BIND" + error100},
		"10.3.4, quirk 5: RSA is for handshakes; a BIND is no oracle. Both close"},
	{"07-bind-errors", []int{9}, "ERROR", []string{`OK flags=0 session=2 UNBIND 0 "unbind success"`},
		"check 28: UNBIND of a connection without a user has nothing to do"},
	{"07-bind-errors", []int{9, 14}, closedByServer, []string{hangsUp}, "check 28"},
	{"07-bind-errors", []int{14}, "ERROR", []string{`OK flags=0 session=6 UNBIND 0 "unbind success"`}, "check 28"},
	{"12-ack-timeout", []int{2}, "OK flags=0 session=9 ", nil, "10.3.7, check 44: an ack counts from the device that was pushed to"},
	{"13-broadcast", []int{1}, `PUSH flags=1 "{\"content\":\"tag is substring match`, nil, "quirk 23: a tag matches as a whole"},
	{"13-broadcast", []int{1}, `PUSH flags=1 "{\"content\":\"task id\"`, []string{
		`PUSH flags=1 "{\"content\":\"script condition\",\"msgId\":\"21\",\"msgType\":2}"`,
		`PUSH flags=1 "{\"content\":\"task id\",\"msgId\":\"22\",\"msgType\":2}"`,
	}, "quirk 25: the recording's JVM has no script engine, so its conditions match nobody"},
	{"16-bad-bytes", []int{3, 4, 5, 9}, hangsUp, []string{closedByServer},
		"10.3.8: too long a body is refused at its header, not when it has arrived"},
	{"16-bad-bytes", []int{7, 12, 13}, "ERROR", nil, "check 9: a negative length is no frame"},
	{"16-bad-bytes", []int{8}, hangsUp, []string{closedByServer}, "check 9"},
	{"16-bad-bytes", []int{50}, "ACK", []string{"ERROR flags=0 session=7 PUSH" + error100, closedByServer},
		"10.3.8: inflating is bounded"},
	{"17-gateway-big-push", []int{2}, closedByServer, []string{
		`OK flags=0 session=8 GATEWAY_PUSH 0 "{\"clientType\":1,\"timePoints\":[\"push-center-begin\",T,\"before-send\",T,\"success-end\",T],\"userId\":\"user-gwbig\"}"`,
		hangsUp,
	}, "check 42: a gateway takes more than a device may send"},
	{"17-gateway-big-push", []int{1}, `PUSH flags=1 "{\"content\":\"after gateway close 2`, []string{
		`PUSH flags=1 "0123456789abcdef0123456789abcdef01234567"... 10213 bytes 76711f971f15e5036bbcded756a4c95c`,
		`PUSH flags=1 "{\"content\":\"after gateway close 2\",\"msgId\":\"10\",\"msgType\":2}"`,
	}, "check 42"},
	{"21-websocket-errors", []int{12}, "text {\"body\":{\"reason\"", []string{`text {"body":{"data":"unbind success","cmd":6},"bodyLength":2,"cmd":11,"flags":16,"sessionId":2}`}, "check 28"},
	{"21-websocket-errors", []int{12}, "close frame", nil, "check 28"},
	{"21-websocket-errors", []int{12}, closedByServer, []string{hangsUp}, "check 28"},
	{"21-websocket-errors", []int{13}, "close frame", []string{`text {"bodyLength":0,"cmd":23,"flags":16,"sessionId":2}`},
		"2.13: Java tries to write a binary ACK and closes"},
	{"21-websocket-errors", []int{13}, closedByServer, []string{hangsUp}, "2.13"},
	{"21-websocket-errors", []int{36}, "close frame", nil, "RFC 6455: a fragmented message is read to its end"},
	{"21-websocket-errors", []int{36}, closedByServer, []string{hangsUp}, "RFC 6455"},
	{"21-websocket-errors", []int{37, 39, 43}, "close frame 1000", nil, "RFC 6455: one close frame; Java sends its 1000 behind netty's"},
	{"21-websocket-errors", []int{42}, "close frame 1000", []string{"close frame 1007"}, "RFC 6455: the code of text that is not UTF-8"},
	{"21-websocket-errors", []int{44}, "close frame without a code", []string{"close frame 1000"}, "RFC 6455: the answer says that the close was clean"},
	{"21-websocket-errors", []int{46}, "HTTP 404", []string{`HTTP 101 accept=k3mUXw1UjkaVimidaQPR7JcLUsc= extensions="" protocol=""`},
		"2.13: a query string is no part of the path"},
	{"21-websocket-errors", []int{46}, closedByServer, []string{hangsUp}, "2.13"},
	{"21-websocket-errors", []int{48}, "HTTP 101", []string{`HTTP 101 accept=7AYkQ2+U9YjdUE2BG8OVFAVQ10U= extensions="" protocol=""`},
		"extensions are an offer; ours are short messages on many connections"},
	{"21-websocket-errors", []int{49}, "HTTP 101", []string{`HTTP 101 accept=HR0E7PSQxqVKqsOIMYqyuR3IIQ8= extensions="" protocol=""`}, "as above"},
	{"21-websocket-errors", []int{48, 49}, "frame 0xc1", []string{webWelcomed}, "as above"},
	{"23-websocket-http", []int{2, 10}, hangsUp, []string{closedByServer}, "an answer that is no upgrade ends the connection"},
	{"30-timing-heartbeat", []int{11}, "ERROR", []string{closedByServer},
		"check 64: idle is measured from the last frame; Java looks for the first time 10 s after the accept, when 13 zero bytes have become a frame"},
	{"32-timing-ack", []int{2}, "OK flags=0 session=56 ", []string{
		timelyAck(52), timelyAck(54), timelyAck(56),
	}, "quirk 22: with a timeout of 0 or less Java drops the reply; here an ack within its 3 s is told"},
}

// timelyAck is the reply to a back end whose push was acknowledged.
func timelyAck(session int) string {
	return fmt.Sprintf(`OK flags=0 session=%d GATEWAY_PUSH 0 "{\"clientType\":1,\"timePoints\":[\"push-center-begin\",T,`+
		`\"before-send\",T,\"waiting-ack\",T,\"success-end\",T],\"userId\":\"ackt\"}"`, session)
}

// deviate puts what we do in the place of what was recorded and returns the
// deviations of this transcript that were not met.
func (t *transcript) deviate(all []deviation) (unused []deviation) {
	for _, d := range all {
		if d.transcript == t.name && !t.apply(d) {
			unused = append(unused, d)
		}
	}
	return unused
}

// apply changes the first thing of each connection that d describes.
func (t *transcript) apply(d deviation) bool {
	met := make(map[int]bool)
	for i := range t.steps {
		s := &t.steps[i]
		if met[s.conn] || len(d.conns) > 0 && !slices.Contains(d.conns, s.conn) {
			continue
		}
		met[s.conn] = s.replace(d)
	}
	for _, conn := range d.conns {
		if !met[conn] {
			return false
		}
	}
	return slices.ContainsFunc(t.steps, func(s step) bool { return met[s.conn] })
}

// replace does so for one step.
func (s *step) replace(d deviation) bool {
	if s.hang && d.recorded == hangsUp {
		s.hang = false
		s.want = d.items(s, item{})
		return true
	}
	for i, it := range s.want {
		if strings.HasPrefix(it.text, d.recorded) {
			s.want = slices.Replace(s.want, i, i+1, d.items(s, it)...)
			return true
		}
	}
	return false
}

// items are ours; hanging up moves into the step.
func (d deviation) items(s *step, recorded item) (ours []item) {
	for _, text := range d.ours {
		if text == hangsUp {
			s.hang = true
			continue
		}
		ours = append(ours, item{text: text, push: recorded.push, session: recorded.session})
	}
	return ours
}
