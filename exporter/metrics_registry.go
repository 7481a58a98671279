package exporter

// addRegistry makes the instruments of the registry of nodes in ZooKeeper.
func (m *Metrics) addRegistry(b builder) {
	m.RegistrySessionsLost = b.counter("registry_sessions_lost_total",
		"Sessions with the registry that ended although this process wanted them, so that others saw it go.").WithLabelValues()
	m.RegistryUnreadable = b.counter("registry_unreadable_total",
		"Entries of the registry that were skipped because they could not be read.").WithLabelValues()
	m.RegistryConflicts = b.counter("registry_conflicts_total",
		"Times this node could not announce itself because somebody else has its id or an entry of its.").WithLabelValues()
}
