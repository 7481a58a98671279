package main

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackAfterAWave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var connections, freed atomic.Int64
		tr := newTrimmer(func() int { return int(connections.Load()) })
		tr.free = func() { freed.Add(1) }
		if err := tr.start(); err != nil {
			t.Fatal(err)
		}
		look := func(count int64) {
			connections.Store(count)
			time.Sleep(trimInterval) // virtual
			synctest.Wait()
		}
		for _, step := range []struct {
			connections, freed int64
			why                string
		}{
			{0, 0, "nobody ever came"},
			{5000, 0, "the wave is on"},
			{15000, 0, "the wave is on"},
			{15010, 1, "the wave is over"},
			{15020, 1, "nothing has changed"},
			{16000, 1, "a few more"},
			{16000, 1, "a few more than when memory was given back"},
			{40000, 1, "another wave"},
			{40000, 2, "it is over"},
			{500, 2, "they leave"},
			{500, 3, "they have left"},
			{20000, 3, "a wave that breaks"},
			{500, 3, "they left at once"},
			{500, 4, "they have left"},
			{500, 4, "nothing has changed"},
		} {
			look(step.connections)
			if got := freed.Load(); got != step.freed {
				t.Errorf("%s: freed %d times, want %d", step.why, got, step.freed)
			}
		}
		if err := tr.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestATrimmerThatWasNotStartedStops(t *testing.T) {
	t.Parallel()
	if err := newTrimmer(func() int { return 0 }).stop(context.Background()); err != nil {
		t.Error(err)
	}
}
