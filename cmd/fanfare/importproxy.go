package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/cmd/fanfare/hocon"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// proxy takes over the HTTP proxy. MPush's goes anywhere; ours only where it is told,
// and all that the file tells is the mapping.
func (in *imported) proxy() error {
	in.take("http.default-read-timeout", "proxy.timeout", asTime)
	in.take("http.max-content-length", "proxy.max_response", asSize)
	in.take("http.max-conn-per-host", "proxy.idle_per_host", asNumber)
	if in.duration("proxy.timeout") > time.Minute {
		in.copy("proxy.timeout", "proxy.max_timeout")
	}
	if in.size("proxy.max_response") > 128<<20 {
		in.copy("proxy.max_response", "proxy.max_memory")
	}
	hosts, at := in.mapping()
	text, enabledAt, ok := in.text("http.proxy-enabled")
	enabled, err := confBool(text)
	switch {
	case !ok:
		return nil
	case err != nil:
		in.leave(enabledAt, prefix+"http.proxy-enabled", err.Error())
		return nil
	case enabled && len(hosts) == 0:
		in.set("proxy.enabled", setting{text: "false", at: enabledAt, from: prefix + "http.proxy-enabled is true",
			about: "MPush lets devices go anywhere. Name where they may go in proxy.allow, then set this to true."})
		in.leave(enabledAt, prefix+"http.proxy-enabled", "proxy.allow has to name where devices may go; until it does, their HTTP requests are refused")
		return nil
	}
	in.set("proxy.enabled", setting{text: strconv.FormatBool(enabled), at: enabledAt, from: prefix + "http.proxy-enabled"})
	if enabled {
		in.list("proxy.allow", hosts, at, "the hosts of "+prefix+"http.dns-mapping")
		in.settings["proxy.allow"].about = "MPush lets devices go anywhere; add what else they need, with the port if the URL has one."
		in.remark(enabledAt, "devices may go to the hosts of %shttp.dns-mapping only; add others to proxy.allow", prefix)
	}
	return nil
}

// mapping takes over the backends of hosts and returns rules that allow the hosts.
func (in *imported) mapping() (rules []string, at place) {
	const key = "http.dns-mapping"
	v := in.find(key)
	if v == nil || v.Kind != hocon.Object {
		return nil, place{}
	}
	var items []string
	for _, leaf := range v.Leaves() {
		if len(leaf.Path) == 0 {
			continue
		}
		name := prefix + key + "." + leaf.Name()
		in.seen[name] = true
		backends := leaf.Value.Items
		if leaf.Value.Kind == hocon.Scalar {
			backends = []*hocon.Value{leaf.Value}
		}
		found := in.backends(name, leaf, backends)
		if items = append(items, found...); len(found) > 0 {
			rules = append(rules, "http://"+leaf.Name(), "https://"+leaf.Name())
		}
	}
	in.list("proxy.dns_mapping", items, placeOf(v), prefix+key+"; http:// as MPush speaks no TLS")
	return rules, placeOf(v)
}

// backends are those of one host that can be taken over.
func (in *imported) backends(name string, host hocon.Leaf, list []*hocon.Value) (items []string) {
	if len(list) == 0 {
		in.leave(placeOf(host.Value), name, "it names no backend")
	}
	for _, b := range list {
		item := fmt.Sprintf("%s=http://%s", host.Name(), strings.TrimSpace(b.Text))
		err := proxy.CheckMapping(item)
		if err == nil {
			err = proxy.CheckRule("http://" + host.Name())
		}
		if err != nil || b.Kind != hocon.Scalar || strings.Contains(item, ",") {
			in.leave(placeOf(b), name, "a backend is written \"ip:port\", and a host by its name")
			continue
		}
		items = append(items, item)
	}
	return items
}
