package cluster

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
)

// service is one of the three kinds of entries of a node, in the order in which they
// are written: devices are sent to a node last.
type service int

const (
	gatewayService service = iota
	webSocketService
	deviceService
	numServices int = iota
)

var serviceNames = [numServices]string{"gs", "ws", "cs"}

// zkPaths are the paths under a namespace.
type zkPaths struct{ namespace string }

func (p zkPaths) root() string { return "/" + p.namespace }

func (p zkPaths) service(s service) string { return p.root() + "/cluster/" + serviceNames[s] }

func (p zkPaths) claims() string { return p.root() + "/fanfare/nodes" }

// claim is where the node with this id says that it has it.
func (p zkPaths) claim(id string) string {
	name := url.PathEscape(id)
	if strings.Trim(name, ".") == "" { // ZooKeeper takes these for directories
		name = strings.ReplaceAll(name, ".", "%2E")
	}
	return p.claims() + "/" + name
}

// parents are the persistent nodes, each after the one it is in.
func (p zkPaths) parents() []string {
	return []string{
		p.root(), p.root() + "/cluster", p.service(deviceService), p.service(gatewayService), p.service(webSocketService),
		p.root() + "/fanfare", p.claims(),
	}
}

// randomUUID is a UUID of version 4, as MPush names its entries.
func randomUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
