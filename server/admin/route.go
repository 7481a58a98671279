package admin

import (
	"encoding/json"
	"net"
	"strconv"

	"github.com/fanfare-push/fanfare/server/store"
)

// routeInfo is a route as MPush shows it, members in its order.
type routeInfo struct {
	Offline bool       `json:"offline"`
	Online  bool       `json:"online"`
	Type    string     `json:"routeType"`
	Value   routeValue `json:"routeValue"`
}

type routeValue struct {
	ClientVersion string `json:"clientVersion,omitempty"`
	Connection    string `json:"connId,omitempty"`
	DeviceID      string `json:"deviceId,omitempty"`
	Host          string `json:"host"`
	HostAndPort   string `json:"hostAndPort"`
	Offline       bool   `json:"offline"`
	Online        bool   `json:"online"`
	OSName        string `json:"osName,omitempty"`
	Port          int    `json:"port"`
}

func route(c *Console, a arguments) string {
	user := a.one()
	if user == "" {
		return "please input userId"
	}
	ctx, cancel := c.call()
	defer cancel()
	all, err := c.options.Store.Routes(ctx, user)
	if err != nil {
		return c.failed("reading the routes", err)
	}
	if len(all[0]) == 0 {
		return "user [" + user + "] offline now."
	}
	infos := make([]routeInfo, 0, len(all[0]))
	for _, r := range all[0] {
		infos = append(infos, infoOf(r))
	}
	text, err := json.Marshal(infos)
	if err != nil {
		return c.failed("showing the routes", err)
	}
	return string(text)
}

func infoOf(r store.Route) routeInfo {
	host, port, _ := net.SplitHostPort(r.Address) // empty for the store of a lone node
	number, _ := strconv.Atoi(port)
	v := routeValue{
		ClientVersion: r.ClientVersion, DeviceID: r.DeviceID, Host: host, HostAndPort: r.Address,
		Offline: !r.Online, Online: r.Online, OSName: r.OSName, Port: number,
	}
	if r.Online {
		v.Connection = r.Connection
	}
	return routeInfo{Offline: !r.Online, Online: r.Online, Type: "REMOTE", Value: v}
}
