package protocol

import (
	"reflect"
	"testing"
)

// headerDeviations are the recordings of Java's parser that this one reads
// differently, on purpose.
var headerDeviations = map[string][]Header{
	"A:1\nB:\n":       {{"A", "1"}, {"B", ""}}, // Java: B takes A's value
	"A:1\nB:\nC:3\n":  {{"A", "1"}, {"B", ""}, {"C", "3"}},
	"A:\n":            {{"A", ""}},               // Java: null
	"A:1\nA:2\n":      {{"A", "1"}, {"A", "2"}},  // Java: the last only
	"A: 1\r\nB:2\r\n": {{"A", " 1"}, {"B", "2"}}, // Java: \r is part of the value
}

func TestParseHeadersAgainstJava(t *testing.T) {
	for _, v := range loadCodec(t).HeaderParse {
		got := ParseHeaders(v.Text)
		if want, ok := headerDeviations[v.Text]; ok {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %q, want %q", v.Text, got, want)
			}
			continue
		}
		if len(got) != len(v.Parsed) {
			t.Errorf("%q: %q, want %v", v.Text, got, v.Parsed)
		}
		for _, h := range got {
			if want := v.Parsed[h.Name]; want == nil || *want != h.Value {
				t.Errorf("%q: header %q is %q", v.Text, h.Name, h.Value)
			}
		}
	}
}

func TestParseHeadersKeepsTheLastLine(t *testing.T) {
	if got := ParseHeaders("A:1\nB:2"); !reflect.DeepEqual(got, []Header{{"A", "1"}, {"B", "2"}}) {
		t.Errorf("got %q", got) // Java drops B
	}
}

func TestAppendHeadersCannotBeInjected(t *testing.T) {
	got := string(AppendHeaders([]byte("X:0\n"),
		Header{"A", "1\r\nEvil: 2"}, Header{"B\n:", "b:c"}, Header{"\r\n", "nameless"}, Header{"", "nameless"}, Header{"C", ""}))
	if want := "X:0\nA:1  Evil: 2\nB:b:c\nC:\n"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
	if got := ParseHeaders(got); len(got) != 4 {
		t.Errorf("read %q", got)
	}
}
