package exporter

import (
	"errors"
	"testing"
)

const srvrOfLeader = `Zookeeper version: 3.8.0-5, built on 2022-02-25 08:49 UTC
Latency min/avg/max: 0/1.5/250
Received: 120
Sent: 119
Connections: 3
Outstanding: 2
Zxid: 0x300000005
Mode: leader
Node count: 42
Proposal sizes last/min/max: 32/32/120
`

func TestParseSrvr(t *testing.T) {
	t.Parallel()
	want := zkStatus{latency: [3]float64{0, 0.0015, 0.25}, outstanding: 2, connections: 3, znodes: 42, leads: true}
	if got, err := parseSrvr(srvrOfLeader); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, want := range map[string]error{
		"This ZooKeeper instance is not currently serving requests\n": errNotServing,
		"srvr is not executed because it is not in the whitelist.\n":  errNotServing,
		"":                                      errNoStatus,
		"Mode: leader\n":                        errNoStatus,
		"Connections: -1\n":                     errNoStatus,
		"Node count: NaN\n":                     errNoStatus,
		"Latency min/avg/max: 1/2\n":            errNoStatus,
		"Outstanding: 1e300\n" + srvrOfLeader:   errNoStatus,
		"HTTP/1.1 400 Bad Request\nDate: now\n": errNoStatus,
	} {
		if got, err := parseSrvr(text); !errors.Is(err, want) || got != (zkStatus{}) {
			t.Errorf("%q: %+v, %v, want %v", text, got, err, want)
		}
	}
}

// FuzzParseSrvr: whatever comes, the numbers are such as metrics may have.
func FuzzParseSrvr(f *testing.F) {
	f.Add(srvrOfLeader)
	f.Add("Mode: standalone\nLatency min/avg/max: 0/0/0\nConnections: 1\nOutstanding: 0\nNode count: 5")
	f.Add("Latency min/avg/max: ///\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSrvr(text)
		if err != nil {
			if s != (zkStatus{}) {
				t.Errorf("%+v with %v", s, err)
			}
			return
		}
		for _, v := range append(s.latency[:], s.connections, s.outstanding, s.znodes) {
			if !(v >= 0) {
				t.Errorf("%v in %+v", v, s)
			}
		}
	})
}
