package bench

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// meter counts what arrives at a set of devices. Units are messages or bytes, as
// its user likes. It is safe for concurrent use.
type meter struct {
	units   atomic.Int64
	mark    atomic.Int64 // units at which reached is signalled
	reached chan struct{}
	ended   atomic.Int64 // connections that the server ended

	mu         sync.Mutex
	delays     *hdrhistogram.Histogram
	seen       []uint64 // a bit for each message number
	distinct   int64
	duplicates int64
	strange    int64
}

// newMeter remembers which of the message numbers below numbers it has seen.
func newMeter(numbers int) *meter {
	m := &meter{
		reached: make(chan struct{}, 1),
		delays:  newHistogram(),
		seen:    make([]uint64, (numbers+63)/64),
	}
	m.mark.Store(math.MaxInt64)
	return m
}

// add counts n units and signals reached if they cross the mark.
func (m *meter) add(n int64) {
	after := m.units.Add(n)
	mark := m.mark.Load()
	if after >= mark && m.mark.CompareAndSwap(mark, math.MaxInt64) {
		m.signal()
	}
}

func (m *meter) signal() {
	select {
	case m.reached <- struct{}{}:
	default:
	}
}

// expect sets the mark to n units more than there are and forgets an earlier signal.
func (m *meter) expect(n int64) {
	select {
	case <-m.reached:
	default:
	}
	m.mark.Store(m.units.Load() + n)
}

// message counts one message that arrived at the time now.
func (m *meter) message(content []byte, now time.Time) {
	number, sent, err := parsePayload(content)
	m.mu.Lock()
	switch {
	case err != nil || number/64 >= len(m.seen):
		m.strange++
	case m.seen[number/64]&(1<<(number%64)) != 0:
		m.duplicates++
	default:
		m.seen[number/64] |= 1 << (number % 64)
		m.distinct++
		record(m.delays, now.Sub(sent))
	}
	m.mu.Unlock()
	m.add(1)
}

// reset forgets units, numbers and delays, but not ended connections.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units.Store(0)
	m.mark.Store(math.MaxInt64)
	m.delays.Reset()
	clear(m.seen)
	m.distinct, m.duplicates, m.strange = 0, 0, 0
}

// report is everything counted since the last reset.
func (m *meter) report() (event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	encoded, err := m.delays.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return event{}, fmt.Errorf("encode the delays: %w", err)
	}
	return event{
		Op: opReport, Units: m.units.Load(), Distinct: m.distinct, Duplicates: m.duplicates,
		Strange: m.strange, Ended: int(m.ended.Load()), Histogram: encoded,
	}, nil
}
