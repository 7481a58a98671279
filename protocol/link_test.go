package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// linkBody is what the bodies of links have in common.
type linkBody interface {
	AppendBinary(dst []byte) ([]byte, error)
	UnmarshalBinary(data []byte) error
}

// linkBodies are examples with every field set, in a fixed order.
func linkBodies() []linkBody {
	a, b := LinkNonce{1, 2, 3, 15: 16}, LinkNonce{15: 9}
	return []linkBody{
		&LinkHello{Version: 1, ID: "node-1", Want: "node-2", Instance: a, Nonce: b},
		&LinkChallenge{Version: 2, ID: "node-2", Nonce: a, Proof: []byte("proof")},
		&LinkProof{Proof: []byte("proof"), Received: math.MaxUint64},
		&LinkReady{Resumed: true, Last: 1 << 40, Window: 65536, AckTimeout: 10_000},
		&LinkRefused{Code: LinkRefusedSecret, Reason: "differs"},
		&LinkPush{
			Request: 7, ID: "message", Ack: AckBiz, AckTimeout: 3 * time.Second, Age: 1500 * time.Microsecond, Rate: -1, Task: "task",
			Condition: "userId == 1", ClientTypes: []ClientType{ClientMobile, ClientUnknown}, Tags: []string{"vip", ""},
			Content: []byte("content"), Users: []string{"alice", "bob"},
		},
		&LinkCancel{Request: 8, ID: "message"},
		&LinkDrain{Request: 9, Rate: 500},
		&LinkPing{Received: 10},
	}
}

func freshLink(m linkBody) linkBody {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(linkBody)
}

func TestLinkBodies(t *testing.T) {
	for _, m := range linkBodies() {
		body, err := m.AppendBinary([]byte("before"))
		if err != nil || !bytes.HasPrefix(body, []byte("before")) {
			t.Fatalf("%T: %q, %v", m, body, err)
		}
		body = body[len("before"):]
		got := freshLink(m)
		if err := got.UnmarshalBinary(body); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, err %v", m, got, err)
		}
		if err := got.UnmarshalBinary(append(body, "of a later version"...)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%T: more fields: %+v, err %v", m, got, err)
		}
		for n := range body {
			if err := freshLink(m).UnmarshalBinary(body[:n]); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%T cut to %d bytes: %v", m, n, err)
			}
		}
	}
}

// TestLinkPushBytes: what other versions of the program must read.
func TestLinkPushBytes(t *testing.T) {
	m := LinkPush{Request: 1, ID: "m", Ack: AckAuto, AckTimeout: time.Second, Age: 2 * time.Millisecond, Tags: []string{"t"}, Content: []byte("hi"), Users: []string{"u"}}
	body, err := m.AppendBinary(nil)
	const want = "0000000000000001" + "00016d" + "01" + "000003e8" + "00000000000007d0" + "00000000" + "0000" + "0000" + "00" +
		"0001" + "000174" + "00026869" + "00000001" + "000175"
	if got := hex.EncodeToString(body); err != nil || got != want {
		t.Errorf("got  %s\nwant %s, err %v", got, want, err)
	}
}

func TestLinkPushBounds(t *testing.T) {
	for name, m := range map[string]*LinkPush{
		"types": {ClientTypes: make([]ClientType, 256)}, "tags": {Tags: make([]string, 1<<16)}, "users": {Users: make([]string, 1<<16)},
	} {
		if body, err := m.AppendBinary([]byte("x")); !errors.Is(err, ErrFieldTooLong) || string(body) != "x" {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := LinkPush{AckTimeout: math.MaxInt64, Age: math.MaxInt64, Rate: math.MaxInt}
	body, _ := m.AppendBinary(nil)
	if err := m.UnmarshalBinary(body); err != nil || m.AckTimeout != math.MaxInt32*time.Millisecond || m.Age <= 0 || m.Rate != math.MaxInt32 {
		t.Errorf("%+v, err %v", m, err)
	}
	m = LinkPush{AckTimeout: -1, Age: math.MinInt64, Rate: math.MinInt}
	body, _ = m.AppendBinary(nil)
	if err := m.UnmarshalBinary(body); err != nil || m.AckTimeout != 0 || m.Age != 0 || m.Rate != -1 {
		t.Errorf("%+v, err %v", m, err)
	}
	// A list that announces more than there are bytes takes no memory for it.
	body, _ = (&LinkPush{Users: []string{"u"}}).AppendBinary(nil)
	copy(body[len(body)-7:], "\x7f\xff\xff\xff")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := m.UnmarshalBinary(body)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 16<<20 { // the list would take 32 GB
		t.Errorf("%d bytes were taken", taken)
	}
	if !errors.Is(err, ErrTruncated) || len(m.Users) != 0 {
		t.Errorf("%d users, err %v", len(m.Users), err)
	}
}

func linkResults() []LinkResult {
	many := LinkResult{Request: math.MaxUint64, Index: 499, Outcome: OutcomeFailed, Unsent: true, Reached: 1<<NumStages - 1}
	for s := range many.Stages {
		many.Stages[s] = math.MaxInt32 * time.Millisecond
	}
	for o := range many.Deliveries {
		many.Deliveries[o] = math.MaxInt32
	}
	one := LinkResult{Request: 3, Outcome: OutcomeSent, Reached: 1 << StageWritten}
	one.Stages[StageWritten], one.Deliveries[OutcomeSent] = 123*time.Microsecond, 1
	return []LinkResult{one, {Outcome: OutcomePending}, many}
}

func TestLinkResults(t *testing.T) {
	body := AppendLinkResults(nil, 42)
	for _, r := range linkResults() {
		before := len(body)
		if body = r.AppendBinary(body); len(body)-before > 255 { // a node keeps the length in a byte
			t.Errorf("%+v takes %d bytes", r, len(body)-before)
		}
	}
	var list LinkResults
	if err := list.UnmarshalBinary(body); err != nil || list.First != 42 {
		t.Fatalf("first %d, err %v", list.First, err)
	}
	var got LinkResult
	for _, want := range linkResults() {
		if ok, err := list.Next(&got); !ok || err != nil || got != want {
			t.Errorf("%+v became %+v, err %v", want, got, err)
		}
	}
	if ok, err := list.Next(&got); ok || err != nil {
		t.Errorf("one more: %+v, err %v", got, err)
	}
	whole := linkResults()[2].AppendBinary(AppendLinkResults(nil, 1))
	for n := range whole {
		var list LinkResults
		err := list.UnmarshalBinary(whole[:n])
		ok := n == 8
		if err == nil {
			ok, err = list.Next(&got)
		}
		if ok || err == nil && n != 8 || err != nil && !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: %v, err %v", n, ok, err)
		}
	}
}

func TestLinkResultsOutOfRange(t *testing.T) {
	for text, want := range map[string]error{
		"0100" + "7f00" + "00":           nil, // an outcome of a later version
		"01ffff04" + "0200" + "00":       ErrTooLarge,
		"ffffffffffffffffffff" + "01":    ErrTooLarge,
		"0100" + "0200" + "7f":           ErrTooLarge,
		"0100" + "0200" + "01" + "02ff":  ErrTruncated,
		"0100" + "02ff" + "010101010101": ErrTruncated,
	} {
		var list LinkResults
		_ = list.UnmarshalBinary(append(make([]byte, 8), unhex(t, text)...))
		var got LinkResult
		ok, err := list.Next(&got)
		if !errors.Is(err, want) || ok != (want == nil) {
			t.Errorf("%s: %+v, err %v", text, got, err)
		}
		if want == nil && got.Outcome != OutcomeFailed {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestLinkProofs(t *testing.T) {
	hello := LinkHello{Version: 1, ID: "a", Want: "b", Nonce: LinkNonce{1}}
	challenge := LinkChallenge{Version: 1, ID: "b", Nonce: LinkNonce{2}}
	asked := ProveLink("secret", true, &hello, &challenge)
	if len(asked) != 32 || ProveLink("", true, &hello, &challenge) != nil {
		t.Errorf("%x", asked)
	}
	challenge.Proof = []byte("is not part of itself")
	if !bytes.Equal(asked, ProveLink("secret", true, &hello, &challenge)) {
		t.Error("the proof depends on a proof")
	}
	proofs := map[string]bool{string(asked): true}
	other := func(p []byte) {
		if proofs[string(p)] {
			t.Error("two different exchanges have the same proof")
		}
		proofs[string(p)] = true
	}
	other(ProveLink("secret", false, &hello, &challenge))
	other(ProveLink("Secret", true, &hello, &challenge))
	for _, change := range []func(h *LinkHello, c *LinkChallenge){
		func(h *LinkHello, _ *LinkChallenge) { h.Version = 2 },
		func(h *LinkHello, _ *LinkChallenge) { h.ID, h.Want = "", "ab" },
		func(h *LinkHello, _ *LinkChallenge) { h.Instance[0] = 1 },
		func(h *LinkHello, _ *LinkChallenge) { h.Nonce[15] = 1 },
		func(_ *LinkHello, c *LinkChallenge) { c.ID = "c" },
		func(_ *LinkHello, c *LinkChallenge) { c.Nonce[0] = 1 },
	} {
		h, c := hello, challenge
		change(&h, &c)
		other(ProveLink("secret", true, &h, &c))
	}
}

func TestLinkCommands(t *testing.T) {
	for c := range Command(math.MaxInt8) {
		if c.IsLink() && strings.ToUpper(c.String()) != c.String() || c.IsLink() != (c >= 64 && c <= 77) {
			t.Errorf("%d", c)
		}
	}
}

func TestLinkAllocations(t *testing.T) {
	push := LinkPush{Request: 1, ID: "01JDN5T8Z3", Content: []byte("content"), Users: []string{"alice"}}
	out := make([]byte, 0, 256)
	maxAllocs(t, "push encode", 0, func() { out, _ = push.AppendBinary(out[:0]) })
	var got LinkPush
	maxAllocs(t, "push decode", 4, func() { _ = got.UnmarshalBinary(out) })
	result := linkResults()[0]
	body := result.AppendBinary(AppendLinkResults(nil, 1))
	maxAllocs(t, "result encode", 0, func() { out = result.AppendBinary(AppendLinkResults(out[:0], 1)) })
	maxAllocs(t, "result decode", 0, func() {
		var list LinkResults
		_ = list.UnmarshalBinary(body)
		_, _ = list.Next(&result)
	})
}

// FuzzLinkBodies: a body that decodes comes back from its encoding.
func FuzzLinkBodies(f *testing.F) {
	for i, m := range linkBodies() {
		body, _ := m.AppendBinary(nil)
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		examples := linkBodies()
		m := freshLink(examples[int(kind)%len(examples)])
		if err := m.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNegativeLength) {
				t.Fatalf("%T: %v", m, err)
			}
			return
		}
		encoded, err := m.AppendBinary(nil)
		if err != nil || len(encoded) > len(data)+4*8 {
			t.Fatalf("%T: %d bytes became %d, err %v", m, len(data), len(encoded), err)
		}
		again := freshLink(m)
		if err := again.UnmarshalBinary(encoded); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, err %v", m, again, err)
		}
	})
}

// FuzzLinkResults: whatever comes, reading ends, and what was read comes back.
func FuzzLinkResults(f *testing.F) {
	body := AppendLinkResults(nil, 1)
	for _, r := range linkResults() {
		body = r.AppendBinary(body)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, data []byte) {
		var list, again LinkResults
		if list.UnmarshalBinary(data) != nil {
			return
		}
		var all []LinkResult
		encoded := AppendLinkResults(nil, list.First)
		for {
			var r LinkResult
			ok, err := list.Next(&r)
			if err != nil && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			all, encoded = append(all, r), r.AppendBinary(encoded)
		}
		if err := again.UnmarshalBinary(encoded); err != nil {
			t.Fatal(err)
		}
		for _, want := range all {
			var got LinkResult
			if ok, err := again.Next(&got); !ok || err != nil || got != want {
				t.Fatalf("%+v became %+v, err %v", want, got, err)
			}
		}
	})
}
