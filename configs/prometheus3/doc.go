// Package prometheus3 reads the shipped configuration with the code of Prometheus 3
// itself: rules, the queries of dashboards, and prometheus.yml. It is a module of its own,
// since that code brings more than a hundred dependencies that Fanfare does not have, and
// it has nothing but tests. What Prometheus 2.42 thinks of the same files is asked of
// promtool, in package configs.
package prometheus3
