package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// appendRouteJSON appends MPush's text of a route (PROTOCOL section 5.2), then the
// members that are ours: Java's reader passes over them. An offline route is one
// without connId.
func appendRouteJSON(dst []byte, r Route) []byte {
	host, port := splitAddress(r.Address)
	text := appendNumber(nil, "port", int64(port))
	text = appendMember(text, "host", host)
	text = appendMember(text, "deviceId", r.DeviceID)
	text = appendMember(text, "osName", r.OSName)
	text = appendMember(text, "clientVersion", r.ClientVersion)
	if r.Online {
		text = appendMember(text, "connId", r.Connection)
	}
	text = appendMember(text, "node", r.Node)
	text = appendMember(text, "osVersion", r.OSVersion)
	if !r.Since.IsZero() {
		text = appendNumber(text, "since", r.Since.UnixMilli())
	}
	if r.PublicIP != host {
		text = appendMember(text, "list", r.PublicIP)
	}
	return append(dst, closeObject(text)...)
}

// routeText is what is read of a route. Any member may be missing.
type routeText struct {
	Port          int    `json:"port"`
	Host          string `json:"host"`
	DeviceID      string `json:"deviceId"`
	OSName        string `json:"osName"`
	ClientVersion string `json:"clientVersion"`
	Connection    string `json:"connId"`
	Node          string `json:"node"`
	OSVersion     string `json:"osVersion"`
	Since         int64  `json:"since"`
	PublicIP      string `json:"list"`
}

var errNotObject = errors.New("it is no JSON object")

// parseRouteJSON reads the text of a route, ours or a Java node's. The client type
// of the result is zero: it is not part of the text.
func parseRouteJSON(text []byte) (Route, error) {
	var t routeText
	if err := parseObject(text, &t); err != nil {
		return Route{}, err
	}
	r := Route{
		Node: t.Node, Address: joinAddress(t.Host, t.Port), PublicIP: t.PublicIP, Connection: t.Connection,
		DeviceID: t.DeviceID, OSName: t.OSName, OSVersion: t.OSVersion, ClientVersion: t.ClientVersion,
		Online: t.Connection != "",
	}
	if t.Since > 0 {
		r.Since = time.UnixMilli(t.Since)
	}
	return r, nil
}

// parseObject reads a JSON object. Its errors do not repeat the text.
func parseObject(text []byte, into any) error {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errNotObject
	}
	err := json.Unmarshal(text, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("its member %s is a %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return nil
}

// splitAddress is lenient: what is no host:port becomes the host.
func splitAddress(address string) (host string, port int) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return address, 0
	}
	return host, port
}

func joinAddress(host string, port int) string {
	if host == "" && port == 0 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
