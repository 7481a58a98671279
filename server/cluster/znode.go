package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
)

// maxZnode is how much of a node's data is looked at, in bytes. MPush writes about 60,
// Fanfare about 400.
const maxZnode = 64 << 10

// znode is the data of a node under cs, ws or gs: what MPush writes, with its members
// in alphabetical order.
type znode struct {
	Attrs map[string]any `json:"attrs,omitempty"`
	Host  string         `json:"host"`
	Port  int            `json:"port"`
}

// newZnode makes the data for an address in the form host:port.
func newZnode(address string, attrs map[string]any) (znode, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return znode{}, fmt.Errorf("%q is not host:port: %w", address, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return znode{}, fmt.Errorf("%q has no port between 1 and 65535", address)
	}
	if !isHost(host) {
		return znode{}, fmt.Errorf("%q has no host name or address", address)
	}
	return znode{Attrs: attrs, Host: host, Port: int(port)}, nil
}

// address is host:port, with brackets around an IPv6 address.
func (z znode) address() string { return net.JoinHostPort(z.Host, strconv.Itoa(z.Port)) }

// text is an attribute that is a string, empty if there is none.
func (z znode) text(name string) string {
	s, _ := z.Attrs[name].(string)
	return s
}

// number is an attribute that is a whole number, as a number or as text, at least 1.
func (z znode) number(name string) int {
	n, err := wholeNumber(z.Attrs[name])
	if err != nil {
		return 1
	}
	return max(n, 1)
}

// encode writes the data as MPush does: without spaces and with no more escapes than
// JSON asks for.
func (z znode) encode() []byte { return plainJSON(z) }

func plainJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers only: it cannot fail
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// parseZnode reads what MPush or a person wrote. Unknown members are ignored; a host
// and a port are needed.
func parseZnode(data []byte) (znode, error) {
	if len(data) == 0 {
		return znode{}, errors.New("it is empty")
	}
	if len(data) > maxZnode {
		return znode{}, fmt.Errorf("it has %d bytes, more than %d", len(data), maxZnode)
	}
	var raw struct {
		Attrs map[string]any `json:"attrs"`
		Host  string         `json:"host"`
		Port  any            `json:"port"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return znode{}, fmt.Errorf("it is not the JSON of a node: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return znode{}, errors.New("it is not the JSON of a node: something follows the object")
	}
	port, err := wholeNumber(raw.Port)
	if err != nil || port < 1 || port > 65535 {
		return znode{}, errors.New("its port is not a number between 1 and 65535")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(raw.Host, "["), "]")
	if !isHost(host) {
		return znode{}, errors.New("its host is not the name or address of a host")
	}
	return znode{Attrs: raw.Attrs, Host: host, Port: port}, nil
}

// wholeNumber reads a number that was decoded from JSON, or its text.
func wholeNumber(v any) (int, error) {
	switch v := v.(type) {
	case int:
		return v, nil
	case string:
		return strconv.Atoi(v)
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || math.Abs(f) > 1<<31 || f != math.Trunc(f) {
			return 0, errors.New("not a whole number")
		}
		return int(f), nil
	}
	return 0, errors.New("not a number")
}

// isHost reports whether s can be a host name or an address. It keeps out what would
// break the allocator's list of addresses.
func isHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c >= 0x80
		if !letter && !strings.ContainsRune("-._:%", rune(c)) {
			return false
		}
	}
	return true
}
