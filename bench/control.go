package bench

// The words between the driver and its children. An order is answered by the
// event of the same name; "listening" (bare server) and "reached" (devices) come
// by themselves.
const (
	opListening = "listening" // bare server: Address is bound
	opConnect   = "connect"   // devices: connect until Devices are up
	opAccepted  = "accepted"  // bare server: answer when Devices sockets are accepted
	opExpect    = "expect"    // devices: announce "reached" after Units more
	opReached   = "reached"   // devices: the announced units have arrived
	opReset     = "reset"     // devices: forget counts and latencies
	opReport    = "report"    // devices: counts and latencies so far
	opVanish    = "vanish"    // devices: close the last Devices connections
	opWrite     = "write"     // bare server: one frame to every socket
	opError     = "error"     // a child gave up; Error says why
)

// order is a line to a child's standard input.
type order struct {
	Op      string `json:"op"`
	Devices int    `json:"devices,omitempty"`
	Units   int64  `json:"units,omitempty"` // messages or bytes, as the child's mode says
}

// event is a line on a child's standard output.
type event struct {
	Op         string  `json:"op"`
	Address    string  `json:"address,omitempty"`
	Devices    int     `json:"devices,omitempty"`    // connections that are up
	Retried    int     `json:"retried,omitempty"`    // logins that needed another try
	Seconds    float64 `json:"seconds,omitempty"`    // how long the order took
	Units      int64   `json:"units,omitempty"`      // messages or bytes since the last reset
	Distinct   int64   `json:"distinct,omitempty"`   // different message numbers seen
	Duplicates int64   `json:"duplicates,omitempty"` // numbers seen again
	Strange    int64   `json:"strange,omitempty"`    // messages that are not ours
	Ended      int     `json:"ended,omitempty"`      // connections that the server ended
	Histogram  []byte  `json:"histogram,omitempty"`  // HdrHistogram V2, nanoseconds
	Error      string  `json:"error,omitempty"`
}

// longestLine bounds a line of the conversation; a report with its histogram is
// the longest by far and takes some tens of kilobytes.
const longestLine = 4 << 20
