package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"
)

// phone is a connection that the conditions of this file are asked about.
var phone = Facts{User: "u1042", Tags: "vip,test,mpush:3", ClientVersion: "android-1.2.10", OSName: "Android 12", OSVersion: "12"}

// TestConditionsThatPeopleWrote holds what MPush's documentation and users show.
func TestConditionsThatPeopleWrote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`tags && tags.indexOf('vip') != -1`:                                               true,
		`userId.startsWith("a") && clientVersion >= "1.2"`:                                false,
		`userId.startsWith("u") && clientVersion >= "1.2"`:                                true,
		`userId % 100 < 20`:                                                               false, // NaN
		`userId.substring(1) % 100 < 50`:                                                  true,
		`tags!=null && tags.indexOf("test")!=-1`:                                          true,
		`clientVersion.replace(/[^\d]/g,"") > 20`:                                         true,
		`clientVersion.indexOf("android")!=-1 && clientVersion.replace(/[^\d]/g,"") > 20`: true,
		`clientVersion.split("-")[1].split('.')[0] == 1`:                                  true,
		`clientVersion.split(/[-.]/)[2] == 2`:                                             true,
		`osName.toLowerCase() == "android 12"`:                                            true,
		`tags.includes("mpush")`:                                                          true,
		`tags.match(/vip|gold/) != null`:                                                  true,
		`tags.match(/mpush:(\d+)/)[1] >= 3`:                                               true,
		`!!clientVersion.match(/^android/i)`:                                              true,
		`parseInt(osVersion) >= 10`:                                                       true,
		`parseInt(osVersion, 10) < 10`:                                                    false,
		`parseFloat(clientVersion.substr(8)) > 1.1`:                                       true,
		`["a","b"].indexOf(userId) != -1`:                                                 false,
		`["a","u1042"].indexOf(userId) > -1`:                                              true,
		`/^u\d+$/.test(userId)`:                                                           true,
		`!/^u\d+$/.test(userId)`:                                                          false,
		`/test/.test(tags) && /^ANDROID/i.test(osName)`:                                   true,
		`osName.search(/[0-9]/) == 8`:                                                     true,
		`tags ? tags.split(",").length > 2 : false`:                                       true,
		`userId.length == 5 && userId.charAt(0) == 'u'`:                                   true,
		`(tags || "").indexOf("vip") >= 0`:                                                true,
		`("," + tags + ",").indexOf(",vip,") != -1`:                                       true,
		`tags != null && tags != "" && tags.lastIndexOf("3") == tags.length - 1`:          true,
		`Number(userId.slice(-2)) % 10 == 2`:                                              true,
		`Math.floor(userId.slice(1) / 1000) == 1`:                                         true,
		`Math.random() <= 1`:                                                              true,
		`typeof tags == "string"`:                                                         true,
		`tags.replace(/^\s+|\s+$/g, "").split(/\s*,\s*/)[0] == "vip" || true`:             true, // see below for the pattern of split
		`osName.replace(/\D+/g, "") === osVersion`:                                        true,
		`osName.replace(/\D*/g, "") === osVersion`:                                        true,
		`tags.match(/[a-z]+/g).length == 3`:                                               true,
		`tags?.includes("vip") ?? false`:                                                  true,
		`isNaN(userId) && !isNaN(osVersion)`:                                              true,
		`userId == 'u1042'
		   && (osName == 'ios' // both
		   || osName.indexOf('Android') == 0);`: true,
		`userId`:              false, // not a boolean, which is false in MPush too
		`tags.indexOf("vip")`: false,
		`null`:                false,
		`userId = "u1042"`:    false,
	} {
		c, err := Compile(text)
		switch {
		case strings.Contains(text, `/\s*,\s*/`), strings.Contains(text, "userId = "):
			if !errors.Is(err, ErrCondition) {
				t.Errorf("%s: %v, want it refused", text, err)
			}
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case c.Match(phone) != want:
			t.Errorf("%s is %t", text, !want)
		}
	}
}

// Each fault is named with its place.
func TestPlaceOfAFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`userId ==`:                           "1:10: Unexpected end of input",
		"tags != null &&\n  tags.foo('x')":    "2:8: the method foo is not allowed",
		"tags != null\n\n && userId.name":     "3:12: the property name is not allowed",
		"  tags[userId]":                      "1:8: an index that is not a number is not allowed",
		"true && eval('1')":                   "1:9: the function eval is not allowed",
		"true &&\n /(?=a)/.test(tags)":        "2:2: a pattern with look-around or back references is not allowed",
		"tags.split(/.+,/)":                   "1:12: split of all matches of a pattern that looks far ahead",
		"tags.match(/a/q)":                    "1:12: the flag q is not allowed",
		"var a = 1":                           "1:1: a statement is not allowed",
		"tags.replace('a', userId)":           "1:6: replace with anything but a text of up to 32 bytes without $ is not allowed",
		"true && (function() { return 1 })()": "1:10: a call of this is not allowed",
		"tags == new Date()":                  "1:9: this part of JavaScript is not allowed",
		"/a/.test(tags.indexOf(/b/))":         "1:23: a pattern anywhere but in",
	} {
		if _, err := Compile(text); err == nil || !strings.HasPrefix(err.Error(), "bad condition: "+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A fault in one connection's facts is that connection's alone.
func TestConditionThrowsForOneConnectionOnly(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`tags.indexOf("vip") >= 0`, `/v/.test(tags) && tags.match(/vip/)[0] == "vip"`} {
		c, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if c.Match(Facts{User: "x"}) || !c.Match(phone) || c.Match(Facts{User: "y", Tags: "vap"}) {
				t.Errorf("%s: one connection decides for another", text)
			}
		}
		if GivenUp(c) {
			t.Errorf("%s was given up", text)
		}
	}
}

// TestPatternsTakeProportionalTime runs patterns that search by trial and error for
// longer than anybody lives. Nothing interrupts a pattern; this test would never end.
func TestPatternsTakeProportionalTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		tags string
		want bool
	}{
		{`/(a+)+$/.test(tags)`, strings.Repeat("a", 8192) + "b", false},
		{`/(a+)+$/g.test(tags + "ü")`, strings.Repeat("a", 8000), false}, // goja's own search, for other than ASCII
		{`/^(a|aa)+$/.test(tags)`, strings.Repeat("a", 8191) + "b", false},
		{`/^(([a-z])+.)+[A-Z]([a-z])+$/.test(tags)`, strings.Repeat("a", 8192), false},
		{`/(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x/.test(tags)`, strings.Repeat("a", 8192), false},
		{`tags.search(/(x+x+)+y/) == -1`, strings.Repeat("x", 8192), true},
		{`tags.match(/([^,]*,)*!/) == null`, strings.Repeat("a,", 4096), true},
		{`/(?:a?){90}z/.test(tags)`, strings.Repeat("a", 250), false},
		{`/(?:a*){90}z/.test(tags)`, strings.Repeat("a", 250), false},
		{`tags.match(/a{1,20}b|a/g).length == 200`, strings.Repeat("a", 200), true},
		{`tags.match(/[a-z]+/g).length == 1024`, strings.Repeat("a,", 1024), true},
		{`tags.replace(/^\s+|\s+$/g, "").length > 2000`, strings.Repeat(" a ", 700), true},
		{`tags.split(/,/).length == 1025`, strings.Repeat(",", 1024), true},
		{`tags.replace(/\D/g, "").length == 500`, strings.Repeat("aü1", 500), true},
		{`(tags + tags + tags + tags).split("").indexOf("x") == -1`, strings.Repeat("ü", 512), true},
		{`tags.localeCompare("x") != 0`, strings.Repeat("ü", 1024), true},
	} {
		condition, err := Compile(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		condition.(*script).limit = 10 * time.Second // for a machine that is busy with other tests
		if got := condition.Match(Facts{Tags: c.tags}); got != c.want || GivenUp(condition) {
			t.Errorf("%s is %t, given up %t", c.text, got, GivenUp(condition))
		}
	}
}

// What is too long for its pattern is an exception, not a hang.
func TestTextTooLongForItsPattern(t *testing.T) {
	t.Parallel()
	c, err := Compile(`/(?:a?){450}a/.test(tags)`)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Match(Facts{Tags: "aaa"}) || c.Match(Facts{Tags: strings.Repeat("a", 8192)}) || GivenUp(c) {
		t.Error("a long text is not an exception for its connection alone")
	}
	if plain, err := Compile(`tags != null`); err != nil || plain.Match(Facts{Tags: strings.Repeat("a", maxFactBytes+1)}) {
		t.Errorf("a fact of any length is taken: %v", err)
	}
}

// An expression that takes long all the same is interrupted, tried once more and then
// given up.
func TestSlowConditionIsGivenUp(t *testing.T) {
	t.Parallel()
	endless := goja.MustCompile("", `(function() { for (;;); })`, true)
	c := &script{program: endless, limit: time.Millisecond}
	if c.Match(phone) || !GivenUp(c) {
		t.Error("an endless condition is not given up")
	}
	c.limit = time.Hour // it is not asked again: that would take an hour
	if c.Match(phone) {
		t.Error("it holds")
	}
	if GivenUp(nil) || GivenUp(noCondition{}) {
		t.Error("what was not made by Compile is given up")
	}
}

type noCondition struct{}

func (noCondition) Match(Facts) bool { return true }
func (noCondition) String() string   { return "" }

// TestPatternsAreJavaScripts compares what conditions answer with what goja's own
// patterns do, on texts that it can search.
func TestPatternsAreJavaScripts(t *testing.T) {
	t.Parallel()
	patterns := []string{
		`/a/`, `/a/g`, `/^a/`, `/a$/g`, `/[^\d]/g`, `/\d+/g`, `/\D*/`, `/a|b/g`, `/(a)(b)?/`, `/(\d+)/g`, `/A/i`, `/A/gi`, `/./g`, `/./gs`, `/^./gm`,
		`/\s+/g`, `/[,;]/g`, `/\bab\b/`, `/ü/g`, `/a{2,3}/g`, `/^\s+|\s+$/g`, `/\u00fc/`, `/[ü-ÿ]/g`, `/\w+/g`, `/a,?/g`, `/(?:b|,)a/g`, `/,/`, `/x/`,
	}
	calls := []string{`%s.test(tags)`, `tags.search(%s)`, `tags.match(%s)`, `tags.replace(%s,"-")`, `tags.replace(%s,"")`, `tags.split(%s)`}
	alphabet := []string{"a", "b", "A", "1", "2", ",", ";", " ", "\n", "ü", "ab"}
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for _, p := range patterns {
		for _, call := range calls {
			both := newBoth(t, "String("+fmt.Sprintf(call, p)+")")
			if both == nil {
				refused++
				continue
			}
			for range 40 {
				var tags strings.Builder
				for range 1 + random.IntN(8) {
					tags.WriteString(alphabet[random.IntN(len(alphabet))])
				}
				both.compare(t, tags.String())
			}
		}
	}
	if refused > len(patterns) {
		t.Errorf("%d expressions were refused", refused)
	}
	if place := newBoth(t, "tags.search(/b/)"); place != nil {
		place.compare(t, "😀b") // at 2: JavaScript counts halves
	}
}

// both are a condition and the same text as JavaScript.
type both struct {
	text string
	ours *machine
	vm   *goja.Runtime
	java *goja.Program
}

// newBoth compiles a text twice; nil if conditions refuse it.
func newBoth(t *testing.T, text string) *both {
	t.Helper()
	c, err := Compile(text)
	if err != nil {
		return nil
	}
	return &both{text, c.(*script).newMachine(), goja.New(), goja.MustCompile("", text, false)}
}

func (b *both) compare(t *testing.T, tags string) {
	t.Helper()
	if err := b.vm.Set("tags", tags); err != nil {
		t.Fatal(err)
	}
	want, err := b.vm.RunProgram(b.java)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.ours.holds(goja.Undefined(), goja.Null(), b.ours.value(tags), goja.Null(), goja.Null(), goja.Null())
	if err != nil || got.String() != want.String() {
		t.Errorf("%s of %q is %q (%v), in JavaScript %q", b.text, tags, got, err, want)
	}
}
