package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func TestMeterTellsMessagesApart(t *testing.T) {
	m := newMeter(100)
	sent := time.Now()
	for _, number := range []int{0, 1, 63, 64, 99, 1, 64} {
		m.message(appendPayload(nil, number, 50, sent), sent.Add(time.Millisecond))
	}
	m.message([]byte("something else"), sent)
	m.message(appendPayload(nil, 128, 50, sent), sent) // beyond what it remembers
	got := must(m.report())(t)
	if got.Units != 9 || got.Distinct != 5 || got.Duplicates != 2 || got.Strange != 2 {
		t.Errorf("%+v: want 9 units, 5 distinct, 2 duplicates, 2 strange", got)
	}
	delays := must(hdrhistogram.Decode(got.Histogram))(t)
	if l := latencyOf(delays); l.N != 5 || l.P50 < 999 || l.P50 > 1001 {
		t.Errorf("delays %+v: want 5 of 1000 us", l)
	}
}

func TestMeterReset(t *testing.T) {
	m := newMeter(10)
	m.message(appendPayload(nil, 3, 0, time.Now()), time.Now())
	m.ended.Add(1)
	m.reset()
	m.message(appendPayload(nil, 3, 0, time.Now()), time.Now())
	got := must(m.report())(t)
	if got.Units != 1 || got.Distinct != 1 || got.Duplicates != 0 || got.Ended != 1 {
		t.Errorf("after a reset and a message: %+v", got)
	}
}

func TestMeterSignalsOnceAtTheMark(t *testing.T) {
	m := newMeter(0)
	m.add(5)
	m.expect(1000)
	var adders sync.WaitGroup
	for range 10 {
		adders.Go(func() {
			for range 100 {
				m.add(1)
			}
		})
	}
	adders.Wait()
	select {
	case <-m.reached:
	default:
		t.Fatal("1000 more did not reach the mark")
	}
	m.add(1000)
	select {
	case <-m.reached:
		t.Error("a mark was reached twice")
	default:
	}
}

func TestMeterForgetsAnOldSignal(t *testing.T) {
	m := newMeter(0)
	m.expect(1)
	m.add(1)
	m.expect(2)
	m.add(1)
	select {
	case <-m.reached:
		t.Error("the signal of an earlier mark is still there")
	default:
	}
}
