package exporter

import "github.com/prometheus/client_golang/prometheus"

// GatewayRefusal is why a connection to the gateway was closed before it could ask for
// anything.
type GatewayRefusal uint8

// The refusals.
const (
	GatewayRefusedAddress GatewayRefusal = iota // neither local nor on the allow-list
	GatewayRefusedFull                          // too many connections
	GatewayRefusedSecret                        // a stranger that did not prove the secret

	numGatewayRefusals = int(GatewayRefusedSecret) + 1
)

var gatewayRefusalNames = [numGatewayRefusals]string{"address", "full", "secret"}

// String is the label value.
func (r GatewayRefusal) String() string { return gatewayRefusalNames[clamp(r, numGatewayRefusals)] }

// GatewayMetrics are the instruments of the port for back ends and nodes.
type GatewayMetrics struct {
	refused [numGatewayRefusals]prometheus.Counter
}

func (m *GatewayMetrics) addGateway(b builder) {
	refused := b.counter("gateway_refused_total", "Connections to the gateway that were closed before they could ask for anything.", "reason")
	for r := range GatewayRefusal(numGatewayRefusals) {
		m.refused[r] = refused.WithLabelValues(r.String())
	}
}

// GatewayRefused counts connections to the gateway that were turned away.
func (m *GatewayMetrics) GatewayRefused(r GatewayRefusal) prometheus.Counter {
	return m.refused[clamp(r, numGatewayRefusals)]
}
