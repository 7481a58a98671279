package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestAcceptRepeatedIDCollapses(t *testing.T) {
	b := newRig(Options{})
	first := b.accept(t, Request{ID: "m", Targets: 3, Digest: [32]byte{1}})
	again, existing, err := b.Accept(Request{ID: "m", Targets: 3, Digest: [32]byte{1}, Source: exporter.SourceGateway})
	if again != first || !existing || err != nil {
		t.Fatalf("repetition = %p, %v, %v; want the first page %p", again, existing, err, first)
	}
	b.checkBooks(t, 6, 3, map[protocol.Outcome]int64{protocol.OutcomeCollapsed: 3})
	if n := testutil.ToFloat64(b.m.Accepted(exporter.SourceGateway, false)); n != 3 {
		t.Errorf("accepted by the gateway = %v, want the 3 targets of the repetition", n)
	}
	for range 3 {
		first.Done(result(protocol.OutcomeSent, "n", nil))
	}
	if _, existing, _ = b.Accept(Request{ID: "m", Targets: 3, Digest: [32]byte{1}}); !existing {
		t.Error("a repetition after the end was taken for new")
	}
	b.checkBooks(t, 9, 0, map[protocol.Outcome]int64{protocol.OutcomeCollapsed: 6, protocol.OutcomeSent: 3})
}

func TestAcceptRefusals(t *testing.T) {
	b := newRig(Options{})
	b.accept(t, Request{ID: "m", Digest: [32]byte{1}})
	for _, c := range []struct {
		name string
		r    Request
		want error
	}{
		{"other content", Request{ID: "m", Targets: 1, Digest: [32]byte{2}}, ErrConflict},
		{"no id", Request{Targets: 1}, ErrInvalid},
		{"no target", Request{ID: "n"}, ErrInvalid},
		{"negative targets", Request{ID: "n", Targets: -1}, ErrInvalid},
	} {
		if e, _, err := b.Accept(c.r); e != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: Accept = %v, %v; want %v", c.name, e, err, c.want)
		}
	}
	b.checkBooks(t, 1, 1, nil)
}

func TestAcceptCountsSourceAndKind(t *testing.T) {
	b := newRig(Options{})
	b.accept(t, Request{ID: "a", Source: exporter.SourceAdmin, Targets: 4})
	b.accept(t, Request{ID: "b", Source: exporter.SourceGateway, Broadcast: true, Targets: 1000})
	if got := b.m.Snapshot().Accepted; got != 5 {
		t.Errorf("accepted = %d, want 4 targets and a broadcast", got)
	}
	if s, _ := b.Get("b"); s.Targets != 1 || !s.Broadcast {
		t.Errorf("broadcast = %+v, want one target", s)
	}
}

func TestGetUnknown(t *testing.T) {
	if s, ok := newRig(Options{}).Get("nobody"); ok || s.ID != "" {
		t.Errorf("Get = %+v, %v", s, ok)
	}
}

func TestReceivedDefaultsToNow(t *testing.T) {
	b := newRig(Options{Node: "entry"})
	e, _, err := b.Accept(Request{ID: "m", Targets: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	if !s.Accepted.Equal(noon) || len(s.Stages) != 1 || s.Stages[0].Node != "entry" || !s.Stages[0].At.Equal(noon) {
		t.Errorf("snapshot = %+v", s)
	}
}

func TestEvictionByCountTakesTheFirstThatEnded(t *testing.T) {
	b := newRig(Options{Messages: 3})
	var entries []*Entry
	for i := range 3 {
		entries = append(entries, b.accept(t, Request{ID: fmt.Sprint(i)}))
	}
	entries[2].Done(result(protocol.OutcomeSent, "n", nil))
	entries[1].Done(result(protocol.OutcomeSent, "n", nil))
	for i := 3; i < 5; i++ {
		b.accept(t, Request{ID: fmt.Sprint(i)})
	}
	b.checkKnown(t, "0 3 4", "1 2")
	b.accept(t, Request{ID: "5"}) // nothing has ended: the oldest in flight makes room
	b.checkKnown(t, "3 4 5", "0")
	b.checkBooks(t, 6, 4, map[protocol.Outcome]int64{protocol.OutcomeSent: 2})

	entries[0].Done(result(protocol.OutcomeOffline, "n", nil))
	if s := entries[0].Snapshot(); s.Outcome != protocol.OutcomeOffline {
		t.Errorf("a forgotten message ended as %s", s.Outcome)
	}
	b.checkKnown(t, "3 4 5", "0")
	b.checkBooks(t, 6, 3, map[protocol.Outcome]int64{protocol.OutcomeSent: 2, protocol.OutcomeOffline: 1})
	if _, existing, err := b.Accept(Request{ID: "0", Targets: 1, Digest: [32]byte{9}}); existing || err != nil {
		t.Errorf("a forgotten id is not free: %v, %v", existing, err)
	}
}

func (b rig) checkKnown(t *testing.T, known, unknown string) {
	t.Helper()
	for _, id := range strings.Fields(known) {
		if s, ok := b.Get(id); !ok || s.ID != id {
			t.Errorf("Get(%q) = %+v, %v; want it known", id, s, ok)
		}
	}
	for _, id := range strings.Fields(unknown) {
		if _, ok := b.Get(id); ok {
			t.Errorf("Get(%q): want it forgotten", id)
		}
	}
}

func TestEvictionByBytes(t *testing.T) {
	page := (&Entry{id: "0"}).size()
	b := newRig(Options{Bytes: 3 * page})
	for i := range 5 {
		b.accept(t, Request{ID: fmt.Sprint(i)}).Done(result(protocol.OutcomeSent, "n", nil))
	}
	b.checkKnown(t, "2 3 4", "0 1")
	b.accept(t, Request{ID: strings.Repeat("x", int(page))})
	b.checkKnown(t, "4", "2 3")
	b.accept(t, Request{ID: strings.Repeat("y", 10*int(page))}) // alone over the bound: kept, as it is the newest
	b.checkKnown(t, strings.Repeat("y", 10*int(page)), "4")
	b.accept(t, Request{ID: "z"})
	b.checkKnown(t, "z", strings.Repeat("y", 10*int(page)))
	if b.bytes != page || len(b.known) != 1 {
		t.Errorf("%d bytes for %d messages, want %d for 1", b.bytes, len(b.known), page)
	}
}

func TestDefaults(t *testing.T) {
	l := New(Options{Metrics: newRig(Options{}).m})
	if l.options.Messages != DefaultMessages || l.options.Bytes != DefaultBytes {
		t.Errorf("bounds = %d messages, %d bytes", l.options.Messages, l.options.Bytes)
	}
	if skew := time.Since(l.options.Now()); skew < -time.Minute || skew > time.Minute {
		t.Errorf("the default clock is off by %v", skew)
	}
	if room := DefaultMessages * (&Entry{id: strings.Repeat("x", 26)}).size(); room > DefaultBytes {
		t.Errorf("%d messages need %d bytes, more than the default bound %d", DefaultMessages, room, DefaultBytes)
	}
}

func TestIDIsNotAPieceOfTheRequest(t *testing.T) {
	body := strings.Clone("id-in-a-large-body")
	b := newRig(Options{})
	e := b.accept(t, Request{ID: body[:2]})
	if e.id != "id" || sameMemory(e.id, body) {
		t.Error("the page keeps the body of the request alive")
	}
}

func TestClockSetBack(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Received: at(5000)})
	e.Done(cluster.Result{Outcome: protocol.OutcomeSent, Stages: [protocol.NumStages]time.Time{protocol.StageWritten: at(10)}})
	if s := e.Snapshot(); s.Latency != 0 || !s.Stages[0].At.Equal(at(5000)) {
		t.Errorf("snapshot = %+v, want no negative durations", s)
	}
	for _, stage := range []string{"accepted", "written"} {
		if sum, n := b.series(t, "fanfare_stage_duration_seconds", stage); sum != 0 || n != 1 {
			t.Errorf("stage %s: %v s in %d observations, want 0 in 1", stage, sum, n)
		}
	}
}
