package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/cmd/fanfare/hocon"
	"github.com/fanfare-push/fanfare/protocol"
)

// take moves a value over as it is, in the form that as gives it.
func (in *imported) take(key, to string, as func(string) (string, error)) {
	text, at, ok := in.text(key)
	if !ok {
		return
	}
	value, err := as(text)
	if err != nil {
		in.leave(at, prefix+key, err.Error())
		return
	}
	in.set(to, setting{text: value, at: at, from: prefix + key})
}

// inFile is the comment at a secret.
func inFile(key string) string {
	return "Secret. Better kept in a file that only the node can read: set " + key + "_file to its name instead."
}

// keys takes over the key pair of the handshake. Without one MPush uses the pair that
// it ships.
func (in *imported) keys() error {
	private, at, ok := in.text("security.private-key")
	public, publicAt, hasPublic := in.text("security.public-key")
	if length, at, ok := in.text("security.aes-key-length"); ok && length != "16" {
		in.leave(at, prefix+"security.aes-key-length", "keys always have 16 bytes; devices that were built for another length cannot connect")
	}
	if !ok || private == "" {
		in.demoKey(place{}, "MPush's default, as the file has no private key")
		if hasPublic && public != "" {
			in.leave(publicAt, prefix+"security.public-key", "it is of no use without its private key")
		}
		return nil
	}
	var other []byte
	if hasPublic && public != "" {
		other = []byte(public)
	}
	pair, err := protocol.ParseKeyPair([]byte(private), other)
	if err != nil {
		return &hocon.Error{File: at.file, Line: at.line, Text: fmt.Sprintf("%ssecurity.private-key: %v", prefix, err)}
	}
	if pair.IsDemo() {
		in.demoKey(at, prefix+"security.private-key, which is the pair that MPush ships")
		return nil
	}
	in.set("security.private_key", setting{text: private, at: at, from: prefix + "security.private-key", about: inFile("security.private_key")})
	if other != nil {
		in.set("security.public_key", setting{text: public, at: publicAt, from: prefix + "security.public-key"})
	}
	return nil
}

func (in *imported) demoKey(at place, from string) {
	in.set("security.demo_key", setting{text: "true", at: at, from: from,
		about: "Everybody has the private half of this pair: nothing that devices send is secret. Make a pair of your own for new apps."})
	in.remark(at, "the key pair that MPush ships is in use, whose private half everybody has")
}

// limits takes over sizes, heartbeats and logging.
func (in *imported) limits() error {
	in.take("log-level", "log.level", asLevel)
	in.take("core.compress-threshold", "limits.compress_threshold", asSize)
	in.take("core.min-heartbeat", "limits.min_heartbeat", asTime)
	in.take("core.max-heartbeat", "limits.max_heartbeat", asTime)
	in.take("core.max-hb-timeout-times", "limits.heartbeat_timeouts", asNumber)
	in.take("core.session-expired-time", "limits.session_ttl", asTime)
	in.take("core.max-packet-size", "limits.max_packet_size", asSize)
	in.take("net.snd_buf.connect-server", "limits.send_buffer", asSize)
	in.take("net.rcv_buf.connect-server", "limits.receive_buffer", asSize)
	in.take("net.write-buffer-water-mark.connect-server-high", "limits.outbound_bytes", asSize)
	in.orderHeartbeats()
	if in.size("limits.max_packet_size") > 1<<20 { // MPush has one limit for both
		in.copy("limits.max_packet_size", "limits.max_gateway_packet")
	}
	return nil
}

// orderHeartbeats raises the longest heartbeat to the shortest, which is what MPush
// grants in that case.
func (in *imported) orderHeartbeats() {
	least, most := in.duration("limits.min_heartbeat"), in.duration("limits.max_heartbeat")
	if s := in.settings["limits.min_heartbeat"]; most < least && s != nil {
		in.set("limits.max_heartbeat", setting{text: s.text, at: s.at, from: s.from + ", below which MPush grants nothing"})
	} else if most < least {
		s := in.settings["limits.max_heartbeat"]
		in.leave(s.at, s.from, "it is below the shortest heartbeat of 3m, which MPush grants instead")
		delete(in.settings, "limits.max_heartbeat")
	}
}

// pace takes over flow control.
func (in *imported) pace() error {
	in.rate("push.flow-control.global", "push.unicast_rate")
	in.rate("push.flow-control.broadcast", "push.broadcast_rate")
	return nil
}

// rate makes a number per second of a limit and its window.
func (in *imported) rate(group, to string) {
	limitText, at, ok := in.text(group + ".limit")
	windowText, windowAt, hasWindow := in.text(group + ".duration")
	if !ok {
		if hasWindow {
			in.leave(windowAt, prefix+group+".duration", "it says nothing without "+prefix+group+".limit")
		}
		return
	}
	limit, err := confNumber(limitText)
	window := time.Second
	if err == nil && hasWindow {
		window, err = confTime(windowText)
	}
	if err == nil && window <= 0 {
		err = fmt.Errorf("its window has no length")
	}
	if err != nil {
		in.leave(at, prefix+group, err.Error())
		return
	}
	rate := math.Ceil(float64(limit) / window.Seconds())
	in.set(to, setting{text: strconv.FormatFloat(rate, 'f', 0, 64), at: at, from: prefix + group + ".limit, per second"})
}

// leftOut are keys that have no place here, by their beginning. A longer one comes
// before those that it begins with.
var leftOut = []struct{ key, why string }{
	{"home", "no file is looked for in a home directory"},
	{"log-dir", "logs go to standard error, and who starts the process keeps them"},
	{"log-conf-path", "logs are configured by log.level and log.format"},
	{"core.epoll-provider", "there is one network layer"},
	{"net.gateway-server-multicast", "there is no gateway over UDP"},
	{"net.gateway-client", "it is a setting of back ends"},
	{"net.snd_buf", "buffers of the gateway are the system's"},
	{"net.rcv_buf", "buffers of the gateway are the system's"},
	{"net.write-buffer-water-mark", "there is one mark, limits.outbound_bytes, and one for devices alone"},
	{"net.traffic-shaping", "bytes are not counted per second; push.broadcast_rate and push.unicast_rate pace messages"},
	{"zk.watch-path", "only the paths of nodes are watched"},
	{"zk.retry", "connections are tried again until they succeed"},
	{"zk.connectionTimeoutMs", "it is derived from registry.zookeeper.session_timeout"},
	{"redis.config", "the pool of connections sizes itself; store.redis.pool_size bounds it"},
	{"http.", "the HTTP proxy has no such setting"},
	{"thread", "goroutines take the place of pools of threads"},
	{"push.flow-control.global", "pushes that are too many wait, and none is refused before push.unicast_queue is full"},
	{"push.flow-control.broadcast", "a broadcast reaches everybody, however many they are"},
	{"monitor", "measurements are on node.listen.ops: /metrics and /debug/pprof"},
	{"spi", "there is no service loader, and MPush does not read these keys either"},
}

// rest leaves out what nothing was made of, with one line for keys that have the reason
// in common.
func (in *imported) rest() {
	counts := make(map[string]int)
	first := make(map[string]hocon.Leaf)
	var order []string
	for _, leaf := range in.leaves {
		if in.seen[leaf.Name()] {
			continue
		}
		group := in.groupOf(leaf)
		if counts[group]++; counts[group] == 1 {
			first[group] = leaf
			order = append(order, group)
		}
	}
	for _, group := range order {
		leaf := first[group]
		name, reason := leaf.Name(), "it is no key of MPush that is known here"
		if i, err := strconv.Atoi(group); err == nil {
			reason = leftOut[i].why
			if n := counts[group]; n > 1 {
				name = fmt.Sprintf("%s%s (%d keys)", prefix, strings.TrimSuffix(leftOut[i].key, "."), n)
				in.left += n - 1
			}
		}
		in.leave(placeOf(leaf.Value), name, reason)
	}
}

// groupOf is the number of the reason for leaving a key out, or its name if it is not
// known.
func (in *imported) groupOf(leaf hocon.Leaf) string {
	if key, ok := strings.CutPrefix(leaf.Name(), prefix); ok {
		for i, l := range leftOut {
			if rest, ok := strings.CutPrefix(key, l.key); ok && (rest == "" || strings.HasSuffix(l.key, ".") || rest[0] == '.' || rest[0] == '-') {
				return strconv.Itoa(i)
			}
		}
	}
	return "key " + leaf.Name()
}
