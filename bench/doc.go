// Package bench is the load generator behind "fanfare bench". It starts a server
// of its own on free loopback ports, logs real devices in, and measures what the
// server takes and gives: memory of an idle device, a scrape of its metrics, the time
// of a unicast push from its sender to the device, and the processor time of a broadcast against a
// bare loop of writes over as many sockets in the same run.
//
// A scenario is several processes, because a process has a limited number of open
// files and because the processor time of the server must not be mixed with that
// of its clients:
//
//	fanfare bench             the driver: sends the pushes, reads the meters
//	 |- fanfare run           the server under test
//	 |- fanfare bench devices      holds the devices, counts what arrives
//	 `- fanfare bench bare-server  holds plain sockets and writes to each in turn
//
// The driver speaks with the last two over their standard input and output, one
// JSON object a line (see order and event). Every child ends when its standard
// input does, and on Linux dies with the driver. Nothing else is ever ended.
//
// Everything stays on loopback unless the user says otherwise, and is bounded in
// count and in time.
package bench
