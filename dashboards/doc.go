// Package dashboards defines the Grafana dashboards of a Fanfare cluster and turns
// them into JSON.
//
// The definitions are Go: a dashboard is a list of panels, and what all panels of a
// type have in common (line width, legend, tooltip, colours) stands once. The JSON in
// leader/ and follower/ is generated from them with "make dashboards", committed, and
// read by Grafana; a test compares both.
//
// Dashboards of the leader show recorded series only, because nothing else is
// federated: rates and sums that followers recorded, never a rate over a federated
// counter. Dashboards of the follower show raw series with $__rate_interval. They
// link to each other through the variables follower_url and leader_url.
//
// Only panels that are part of Grafana itself are used, and only what Grafana 9.4
// understands; newer releases migrate it when they load it.
package dashboards
