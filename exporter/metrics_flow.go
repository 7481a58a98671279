package exporter

// addFlow has the instruments of flow control.
func (m *Metrics) addFlow(b builder) {
	m.FlowWaiting = b.gauge("flow_waiting", "Pushes to single users that flow control holds back now.").WithLabelValues()
}
