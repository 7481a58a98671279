package settings

import "testing"

func TestProblemInOneLine(t *testing.T) {
	for _, c := range []struct {
		problem Problem
		want    string
	}{
		{Problem{File: "f.yaml", Line: 3, Key: "a.b", Text: "is wrong"}, "f.yaml:3: a.b is wrong"},
		{Problem{File: "f.yaml", Line: 3, Text: "is wrong"}, "f.yaml:3: is wrong"},
		{Problem{File: "f.yaml", Key: "a.b", Text: "is wrong"}, "f.yaml: a.b is wrong"},
		{Problem{File: "--set", Text: "is wrong"}, "--set: is wrong"},
		{Problem{Key: "a.b", Text: "is wrong"}, "a.b is wrong"},
		{Problem{Text: "is\n  wrong:\r\n\tvery \n"}, "is wrong: very"},
	} {
		if got := c.problem.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestProblemsInOrder: that of the file, and of finding where the file has none.
func TestProblemsInOrder(t *testing.T) {
	problems := Problems{{Key: "x", Text: "1"}, {File: "f", Line: 9, Text: "2"}, {Key: "a", Text: "3"},
		{File: "f", Line: 2, Key: "z", Text: "4"}, {File: "f", Line: 2, Key: "b", Text: "5"}}
	problems.Sort()
	if got, want := problems.Error(), "f:2: z 4\nf:2: b 5\nf:9: 2\nx 1\na 3"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := (Problems{}).Error(); got != "" {
		t.Errorf("no problem is %q", got)
	}
}
