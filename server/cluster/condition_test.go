package cluster

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	facts := Facts{User: "120", Tags: "vip,test", ClientVersion: "1.10", OSName: "android 12", OSVersion: "12"}
	for expression, want := range map[string]bool{
		`userId % 100 < 21`:                                   true,
		`userId % 100 < 20`:                                   false,
		`tags!=null && tags.indexOf("test")!=-1`:              true,
		`tags && tags.indexOf('gold') != -1`:                  false,
		`clientVersion.replace(/[^\d]/g,"") > 20`:             true,
		`userId.startsWith("1") && osName.length > 3`:         true,
		`osName.split(" ")[0] == "android"`:                   true,
		`userId == "120" || nothing`:                          true,
		`nothing`:                                             false, // an exception
		`"yes"`:                                               false, // not a boolean
		`while(true){}`:                                       false, // stopped by time
		`(function f(){ return f() })()`:                      false, // stopped by depth
		`typeof process == "undefined" && typeof eval != "1"`: true,
		`eval("true")`:                                        false,
		`"x".repeat(1e9).length > 0`:                          false,
	} {
		c, err := Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if got := c.Match(facts); got != want {
			t.Errorf("%s is %t, want %t", expression, got, want)
		}
	}
}

func TestConditionSeesNullForWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, err := Compile(`tags == null && osName === null`)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Match(Facts{User: "u"}) {
		t.Error("missing facts are not null")
	}
}

func TestConditionKeepsNothingBetweenConnections(t *testing.T) {
	t.Parallel()
	c, err := Compile(`var seen = userId == "b" && tags != null; seen`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Match(Facts{User: "a", Tags: "x"}) || c.Match(Facts{User: "b"}) {
		t.Error("facts of one connection were seen by the next")
	}
}

func TestBadConditions(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{`userId ==`, `tags.indexOf(`, strings.Repeat("1+", maxConditionBytes) + "1"} {
		if _, err := Compile(expression); !errors.Is(err, ErrCondition) {
			t.Errorf("%.20s: %v, want ErrCondition", expression, err)
		}
	}
	if _, err := Compile("a &&\n b ]"); err == nil || !strings.Contains(err.Error(), "2:") {
		t.Errorf("%v does not tell the line", err)
	}
}

func TestConditionFromManyGoroutines(t *testing.T) {
	t.Parallel()
	c, err := Compile(`userId == tags`)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, user := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for range 200 {
				if !c.Match(Facts{User: user, Tags: user}) {
					t.Error("facts were mixed up")
				}
			}
		})
	}
	wg.Wait()
}

func FuzzCompile(f *testing.F) {
	f.Add(`userId % 100 < 20`)
	f.Add(`while(1){}`)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Compile(text); err == nil {
			c.Match(Facts{User: "u", Tags: "t"})
		}
	})
}
