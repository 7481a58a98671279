package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// complete fills in what a node left open.
func complete(self Peer) Peer {
	self.Weight = max(self.Weight, 1)
	if self.Link <= 0 {
		self.Link = LinkVersion
	}
	if self.State != Draining {
		self.State = Serving
	}
	return self
}

// encodePeer makes the data of the services; nil for one that is not offered.
func encodePeer(self Peer) (data [numServices][]byte, err error) {
	if self.ID == "" {
		return data, errors.New("node.id is empty")
	}
	if self.PublicIP != "" && !isHost(self.PublicIP) {
		return data, fmt.Errorf("%q is not a public address", self.PublicIP)
	}
	gateway, err := newZnode(self.Gateway, gatewayAttrs(self))
	if err != nil {
		return data, fmt.Errorf("node.advertise.gateway: %w", err)
	}
	data[gatewayService] = gateway.encode()
	if self.Device != "" {
		device, err := newZnode(self.Device, map[string]any{attrID: self.ID, attrMPushWeight: self.Weight})
		if err != nil {
			return data, fmt.Errorf("node.advertise.device: %w", err)
		}
		if self.PublicIP != "" && self.PublicIP != device.Host {
			device.Attrs[attrMPushPublicIP] = self.PublicIP
		}
		data[deviceService] = device.encode()
	}
	if self.WebSocket != "" {
		address, err := webSocketAddress(self.WebSocket)
		if err != nil {
			return data, fmt.Errorf("node.advertise.websocket: %w", err)
		}
		ws, err := newZnode(address, map[string]any{attrID: self.ID})
		if err != nil {
			return data, fmt.Errorf("node.advertise.websocket: %w", err)
		}
		data[webSocketService] = ws.encode()
	}
	return data, nil
}

// gatewayAttrs are the facts that MPush has no place for. Those that are not known are
// left out.
func gatewayAttrs(self Peer) map[string]any {
	attrs := map[string]any{attrID: self.ID, attrLink: self.Link, attrWeight: self.Weight}
	for name, text := range map[string]string{
		attrOps: self.Ops, attrWS: self.WebSocket, attrState: string(self.State), attrVersion: self.Version, attrPublicIP: self.PublicIP,
	} {
		if text != "" {
			attrs[name] = text
		}
	}
	if !self.Since.IsZero() {
		attrs[attrSince] = self.Since.UTC().Format(time.RFC3339Nano)
	}
	return attrs
}

// webSocketAddress is host:port of a ws or wss URL.
func webSocketAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "" {
		return "", fmt.Errorf("%q is not a ws:// or wss:// URL", text)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
