package main

import (
	"net"
	"strconv"
	"strings"

	"github.com/fanfare-push/fanfare/cmd/fanfare/hocon"
)

// port reads the number of a port; ok is false without one.
func (in *imported) port(key string) (port string, at place, ok bool) {
	text, at, ok := in.text(key)
	if !ok {
		return "", place{}, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		in.leave(at, prefix+key, quoted(text)+" is no port")
		return "", place{}, false
	}
	return strconv.FormatUint(n, 10), at, true
}

// host is the text at a key unless it is empty.
func (in *imported) host(key string) (host string, at place) {
	host, at, ok := in.text(key)
	if !ok {
		return "", place{}
	}
	return host, at
}

// addresses takes over what a node listens on and what it tells others.
func (in *imported) addresses() error {
	local, _ := in.host("net.local-ip")
	public, publicAt := in.host("net.public-ip")
	public, publicAt = in.mapped(local, public, publicAt)
	if public != "" {
		in.set("node.public_ip", setting{text: public, at: publicAt, from: prefix + "net.public-ip"})
	}
	in.attributes(&public)
	device := in.listen("net.connect-server-bind-ip", "net.connect-server-port", "3000", "", "node.listen.device")
	told, toldAt := in.host("net.connect-server-register-ip")
	from := prefix + "net.connect-server-register-ip"
	if told == "" {
		told, toldAt, from = public, publicAt, "the public address"
	}
	if told != "" {
		in.set("node.advertise.device", setting{text: net.JoinHostPort(told, device), at: toldAt, from: from})
	}
	in.webSocket(told, toldAt, from)
	in.gateway(local)
	in.admin()
	return nil
}

// mapped finds the public address in the deprecated table.
func (in *imported) mapped(local, public string, at place) (string, place) {
	v := in.find("net.public-host-mapping")
	if v == nil || v.Kind != hocon.Object {
		return public, at
	}
	for _, leaf := range v.Leaves() {
		in.seen[prefix+"net.public-host-mapping."+leaf.Name()] = true
		switch {
		case len(leaf.Path) == 0:
		case public == "" && local != "" && leaf.Name() == local && leaf.Value.Kind == hocon.Scalar && fit(leaf.Value.Text):
			public, at = leaf.Value.Text, placeOf(leaf.Value)
		default:
			in.leave(placeOf(leaf.Value), prefix+"net.public-host-mapping."+leaf.Name(), "each node is told its own address, node.public_ip")
		}
	}
	return public, at
}

// attributes takes over what a node is announced with.
func (in *imported) attributes(public *string) {
	const group = "net.connect-server-register-attr"
	in.take(group+".weight", "node.weight", asNumber)
	if host, _ := in.host(group + ".public_ip"); host != "" {
		*public = host
	}
	v := in.find(group)
	if v == nil || v.Kind != hocon.Object {
		return
	}
	for _, leaf := range v.Leaves() {
		if name := prefix + group + "." + leaf.Name(); len(leaf.Path) > 0 && !in.seen[name] {
			in.seen[name] = true
			in.leave(placeOf(leaf.Value), name, "nodes announce weight and addresses only")
		}
	}
}

// listen makes a listen address if one of its parts is given, and returns the port.
func (in *imported) listen(hostKey, portKey, port, fallback, to string) string {
	host, at := in.host(hostKey)
	from := prefix + hostKey
	given, portAt, ok := in.port(portKey)
	if ok && given != port || host != "" {
		if ok {
			port, at, from = given, portAt, prefix+portKey
		}
		if host == "" {
			host = fallback
		}
		in.set(to, setting{text: net.JoinHostPort(host, port), at: at, from: from})
	}
	return port
}

// webSocket takes over a port that MPush has off unless it is set.
func (in *imported) webSocket(told string, toldAt place, toldFrom string) {
	port, at, ok := in.port("net.ws-server-port")
	if path, at, ok := in.text("net.ws-path"); ok && path != "/" {
		in.set("node.websocket_path", setting{text: path, at: at, from: prefix + "net.ws-path"})
	}
	if !ok || port == "0" {
		from := prefix + "net.ws-server-port"
		if !ok {
			from = "MPush's default"
		}
		in.set("node.listen.websocket", setting{at: at, from: from})
		return
	}
	in.set("node.listen.websocket", setting{text: ":" + port, at: at, from: prefix + "net.ws-server-port"})
	if told != "" {
		in.set("node.advertise.websocket", setting{text: net.JoinHostPort(told, port), at: toldAt, from: toldFrom})
	}
}

// gateway takes over the port of back ends. MPush listens everywhere unless told
// otherwise; a node does so on its private address.
func (in *imported) gateway(local string) {
	port := in.listen("net.gateway-server-bind-ip", "net.gateway-server-port", "3001", local, "node.listen.gateway")
	told, at := in.host("net.gateway-server-register-ip")
	from := prefix + "net.gateway-server-register-ip"
	if told == "" {
		_, at = in.host("net.local-ip")
		told, from = local, prefix+"net.local-ip"
	}
	if told != "" {
		in.set("node.advertise.gateway", setting{text: net.JoinHostPort(told, port), at: at, from: from})
	}
	if kind, at, ok := in.text("net.gateway-server-net"); ok && kind != "tcp" {
		in.leave(at, prefix+"net.gateway-server-net", "the gateway speaks TCP; set back ends to it as well")
	}
}

// admin takes over the console, on this machine alone since it has no password yet.
func (in *imported) admin() {
	const key = "net.admin-server-port"
	switch port, at, ok := in.port(key); {
	case !ok:
	case port == "0":
		in.set("node.listen.admin", setting{at: at, from: prefix + key})
	default:
		in.set("node.listen.admin", setting{text: "127.0.0.1:" + port, at: at, from: prefix + key,
			about: "For this machine alone. Another address needs security.admin_password_file."})
	}
}

// cluster takes over ZooKeeper and Redis, which every MPush server has.
func (in *imported) cluster() error {
	in.set("registry.kind", setting{text: "zookeeper", from: "MPush has no other"})
	in.set("store.kind", setting{text: "redis", from: "MPush has no other"})
	in.zooKeeper()
	in.redis()
	return nil
}

func (in *imported) zooKeeper() {
	in.take("zk.namespace", "registry.zookeeper.namespace", asText)
	in.take("zk.sessionTimeoutMs", "registry.zookeeper.session_timeout", asTime)
	in.secret("zk.digest", "registry.zookeeper.digest")
	if s := in.settings["registry.zookeeper.digest"]; s != nil && s.text == "mpush" { // everybody's, and the default here
		delete(in.settings, "registry.zookeeper.digest")
	}
	text, at, ok := in.text("zk.server-address")
	if !ok {
		return
	}
	servers, path, _ := strings.Cut(text, "/")
	if path != "" {
		in.remark(at, "the path behind the servers of %szk.server-address was left out; nodes stand below registry.zookeeper.namespace", prefix)
	}
	in.list("registry.zookeeper.servers", withPorts(strings.Split(servers, ","), "2181"), at, prefix+"zk.server-address")
}

// secret takes over a text that must not be seen.
func (in *imported) secret(key, to string) {
	if text, at, ok := in.text(key); ok && text != "" {
		in.set(to, setting{text: text, at: at, from: prefix + key, about: inFile(to)})
	}
}

// list takes over several values, without empty ones.
func (in *imported) list(to string, items []string, at place, from string) {
	var kept []string
	for _, item := range items {
		if item != "" {
			kept = append(kept, item)
		}
	}
	if len(kept) > 0 {
		in.set(to, setting{items: kept, list: true, at: at, from: from})
	}
}

// withPorts adds the port to addresses that have none.
func withPorts(addresses []string, port string) (all []string) {
	for _, a := range addresses {
		if a = strings.TrimSpace(a); a != "" && !strings.Contains(a, ":") {
			a = net.JoinHostPort(a, port)
		}
		all = append(all, a)
	}
	return all
}

func (in *imported) redis() {
	in.take("redis.cluster-model", "store.redis.mode", asText)
	in.secret("redis.password", "store.redis.password")
	mode := "single"
	if s := in.settings["store.redis.mode"]; s != nil {
		mode = s.text
	}
	if master, at, ok := in.text("redis.sentinel-master"); ok && master != "" {
		if mode == "sentinel" {
			in.set("store.redis.master", setting{text: master, at: at, from: prefix + "redis.sentinel-master"})
		} else {
			in.leave(at, prefix+"redis.sentinel-master", "only sentinels know a master by name, and the model is "+quoted(mode))
		}
	}
	items, at := in.texts("redis.nodes")
	if mode == "single" && len(items) > 1 {
		in.remark(at, "%sredis.nodes names %d servers; all but the first were left out, as the model is single", prefix, len(items))
		items = items[:1]
	}
	in.list("store.redis.addresses", withPorts(items, "6379"), at, prefix+"redis.nodes")
}

// texts is the list of texts at a key; a text of its own is a list of one.
func (in *imported) texts(key string) (items []string, at place) {
	v := in.find(key)
	if v == nil || v.Kind != hocon.List {
		if text, at, ok := in.text(key); ok {
			return []string{text}, at
		}
		return nil, place{}
	}
	for _, item := range v.Items {
		if item.Kind != hocon.Scalar || !fit(item.Text) || strings.Contains(item.Text, ",") {
			in.leave(placeOf(item), prefix+key, "an item of it is no single value")
			continue
		}
		items = append(items, strings.TrimSpace(item.Text))
	}
	return items, placeOf(v)
}
