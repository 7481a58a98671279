package protocol

import (
	"encoding"
	"regexp"
	"testing"
)

// label is what a metric label, log field or API value may look like.
var label = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// distinct fails if two values have the same name or one has none.
func distinct[T interface{ String() string }](t *testing.T, all []T) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range all {
		if name := v.String(); seen[name] || !label.MatchString(name) {
			t.Errorf("%T %q is no name of its own", v, name)
		}
		seen[v.String()] = true
	}
}

// textRoundTrip fails if a value does not come back from its text.
func textRoundTrip[T comparable](t *testing.T, all []T, marshal func(T) encoding.TextMarshaler, unmarshal func(*T) encoding.TextUnmarshaler) {
	t.Helper()
	for _, v := range all {
		text, err := marshal(v).MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got T
		if err := unmarshal(&got).UnmarshalText(text); err != nil || got != v {
			t.Errorf("%v written as %s came back as %v, err %v", v, text, got, err)
		}
	}
	var got T
	if err := unmarshal(&got).UnmarshalText([]byte("no such")); err == nil {
		t.Errorf("%T takes any text", got)
	}
}

func TestCloseReasons(t *testing.T) {
	all := CloseReasons()
	distinct(t, all)
	if len(all) != int(closeReasons)-1 || all[0] != ClosePeer || all[len(all)-1] != CloseInternal {
		t.Errorf("%d reasons: %v", len(all), all)
	}
	for _, r := range append(all, CloseUnknown) {
		// RFC 6455 section 7.4: these may be sent, 4000 to 4999 are private.
		switch code := r.WebSocketCode(); code {
		case 1000, 1001, 1002, 1009, 1011, 1013:
		default:
			if code < 4000 || code > 4999 {
				t.Errorf("%v: close code %d", r, code)
			}
		}
	}
	if CloseReason(200).String() != "unknown" {
		t.Error("a reason out of range has a name")
	}
	if CloseTooLarge.Retry() || CloseReplaced.Retry() || !CloseDrain.Retry() || !CloseIdle.Retry() || !CloseOverload.Retry() {
		t.Error("wrong advice on retrying")
	}
}

func TestOutcomes(t *testing.T) {
	all := Outcomes()
	distinct(t, append(all, OutcomePending))
	if len(all) != NumOutcomes-1 {
		t.Errorf("%d outcomes", len(all))
	}
	textRoundTrip(t, append(all, OutcomePending),
		func(o Outcome) encoding.TextMarshaler { return o }, func(o *Outcome) encoding.TextUnmarshaler { return o })
	if Outcome(200).String() != "failed" {
		t.Errorf("out of range: %v", Outcome(200))
	}
}

// TestOutcomeBetter: the order in which devices report does not matter, and any
// end is better than none.
func TestOutcomeBetter(t *testing.T) {
	all := append(Outcomes(), OutcomePending)
	for _, a := range all {
		if a.Better(a) != a || a.Better(OutcomePending) != a || OutcomeAcked.Better(a) != OutcomeAcked {
			t.Errorf("%v is not ordered", a)
		}
		for _, b := range all {
			if a.Better(b) != b.Better(a) {
				t.Errorf("%v and %v: %v or %v", a, b, a.Better(b), b.Better(a))
			}
			for _, c := range all {
				if a.Better(b).Better(c) != a.Better(b.Better(c)) {
					t.Errorf("%v, %v, %v depend on the order", a, b, c)
				}
			}
		}
	}
}

func TestStages(t *testing.T) {
	distinct(t, Stages())
	if len(Stages()) != NumStages || Stage(200).String() != "unknown" {
		t.Errorf("%v", Stages())
	}
	textRoundTrip(t, Stages(), func(s Stage) encoding.TextMarshaler { return s }, func(s *Stage) encoding.TextUnmarshaler { return s })
}

func TestClientTypes(t *testing.T) {
	distinct(t, ClientTypes())
	textRoundTrip(t, ClientTypes(),
		func(c ClientType) encoding.TextMarshaler { return c }, func(c *ClientType) encoding.TextUnmarshaler { return c })
}

func TestAckModes(t *testing.T) {
	all := []AckMode{AckNone, AckAuto, AckBiz}
	distinct(t, all)
	textRoundTrip(t, all, func(m AckMode) encoding.TextMarshaler { return m }, func(m *AckMode) encoding.TextUnmarshaler { return m })
	for _, m := range all {
		if got := AckModeOf(m.Flags() | FlagCrypto | FlagJSONBody); got != m {
			t.Errorf("%v became %v", m, got)
		}
	}
	if AckModeOf(FlagAutoAck|FlagBizAck) != AckAuto {
		t.Error("with both bits the SDK acknowledges by itself")
	}
}

func TestTransports(t *testing.T) {
	all := []Transport{TCP, TLS, WS, WSS}
	distinct(t, all)
	if text, err := WSS.MarshalText(); err != nil || string(text) != "wss" || len(all) != NumTransports {
		t.Errorf("%s, %v", text, err)
	}
}

func TestCommandNames(t *testing.T) {
	for c, want := range map[Command]string{CmdUnknown: "UNKNOWN", 0: "0", 25: "25", -2: "-2", CmdNack: "NACK"} {
		if got := c.String(); got != want {
			t.Errorf("%d: %s, want %s", int8(c), got, want)
		}
	}
	if CodeNone.Reason() != "" || Code(99).Reason() != ReasonUnknown {
		t.Error("codes without a text of their own")
	}
}
