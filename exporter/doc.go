// Package exporter holds the metrics of a Fanfare process: their names, their
// instruments, the /metrics handler and the operations server that serves it.
//
// Every label value is a member of a closed set and exists at zero from the start,
// so that a rate is right from the first event on. The children are resolved once,
// in [New]; an accessor such as [Metrics.Messages] is an index into an array and
// takes no memory.
package exporter
