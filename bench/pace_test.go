package bench

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPaceDue(t *testing.T) {
	start := time.Unix(1000, 0)
	p := newPace(start, 1000, 2*time.Second)
	if p.total != 2000 || p.gap != time.Millisecond {
		t.Fatalf("%+v: want 2000 sends, 1 ms apart", p)
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{
		{-time.Second, 0}, {0, 1}, {999 * time.Microsecond, 1}, {time.Millisecond, 2}, {time.Second, 1001}, {time.Hour, 2000},
	} {
		if got := p.due(start.Add(tt.after)); got != tt.want {
			t.Errorf("due after %v: %d, want %d", tt.after, got, tt.want)
		}
	}
	if got := p.at(10); got.Sub(start) != 10*time.Millisecond {
		t.Errorf("send 10 is at +%v", got.Sub(start))
	}
}

func TestPaceRunSendsEachOnce(t *testing.T) {
	p := newPace(time.Now(), 20_000, 50*time.Millisecond)
	next := 0
	err := p.run(patience(t), 7, func(first, count int) error {
		if first != next || count < 1 || count > 7 {
			t.Errorf("send(%d, %d) after %d", first, count, next)
		}
		next += count
		return nil
	})
	if err != nil || next != p.total {
		t.Errorf("%d of %d were sent: %v", next, p.total, err)
	}
	if elapsed := time.Since(p.start); elapsed < 49*time.Millisecond {
		t.Errorf("50 ms of sends took %v", elapsed)
	}
}

func TestPaceRunEnds(t *testing.T) {
	p := newPace(time.Now(), 1, time.Hour)
	broken := errors.New("broken")
	if err := p.run(patience(t), 1, func(int, int) error { return broken }); err != broken {
		t.Errorf("a failed send gives %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	sent := 0
	err := p.run(ctx, 1, func(int, int) error { sent++; cancel(broken); return nil })
	if !errors.Is(err, broken) || sent != 1 {
		t.Errorf("an ended context gives %v after %d sends", err, sent)
	}
}
