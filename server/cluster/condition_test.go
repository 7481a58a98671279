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
		`userId % 100 < 21`:                                        true,
		`userId % 100 < 20`:                                        false,
		`tags!=null && tags.indexOf("test")!=-1`:                   true,
		`tags && tags.indexOf('gold') != -1`:                       false,
		`clientVersion.replace(/[^\d]/g,"") > 20`:                  true,
		`userId.startsWith("1") && osName.length > 3`:              true,
		`osName.split(" ")[0] == "android"`:                        true,
		`userId == "120" || nothing`:                               true,
		`nothing`:                                                  false, // an exception
		`"yes"`:                                                    false, // not a boolean
		`typeof process == "undefined" && typeof eval != "1"`:      true,
		`["120", "121"].indexOf(userId) != -1`:                     true,
		`["120", "121"].includes(userId)`:                          true,
		`parseInt(clientVersion) == 1 ? true : false`:              true,
		`/^(vip|gold),/.test(tags)`:                                true,
		`tags.match(/t/g).length == 2 && !(tags.search(/x/) >= 0)`: true,
		`userId.slice(-2) === "20" && -userId < 0`:                 true,
		`tags.split(",")[1].toUpperCase() == "TEST"`:               true,
		`userId[0] == 1 && tags[99] === undefined`:                 true,
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
	c, err := Compile(`userId == "b" && tags != null`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Match(Facts{User: "a", Tags: "x"}) || c.Match(Facts{User: "b"}) {
		t.Error("facts of one connection were seen by the next")
	}
}

func TestBadConditions(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{``, `;`, `userId ==`, `tags.indexOf(`, strings.Repeat("1+", maxConditionBytes) + "1"} {
		if _, err := Compile(expression); !errors.Is(err, ErrCondition) {
			t.Errorf("%.20s: %v, want ErrCondition", expression, err)
		}
	}
	if _, err := Compile("a &&\n b ]"); err == nil || !strings.Contains(err.Error(), "2:") {
		t.Errorf("%v does not tell the line", err)
	}
}

// TestConditionsThatAreRefused holds what would take all memory, all time or a file of
// this machine, and the ways that lead there.
func TestConditionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{
		`while(true){}`, `var a = 1`, `a = 1`, `userId++`, `--userId`, `delete userId`, `1; 2`, `1, 2`, `this`, `{}`, `({})`,
		`(function f(){ return f() })()`, `() => 1`, `class {}`, `new Date()`, `new Uint8Array(1e12).length > 0`,
		`eval("true")`, `Function("true")()`, `Array(1e9).length`, `[].constructor(1e9)`, `userId["constructor"]("x")`, `userId[tags]`,
		`tags.constructor`, `tags.__proto__`, `"x".repeat(1e9).length > 0`, `"x".padStart(1e9)`, `[1].fill(1)`, `[1].concat([1])`, `[1].join(tags)`,
		`Array.from(tags)`, `"x".indexOf.call(tags)`, `"x".indexOf.apply("x", tags)`, `[...tags]`, "`${tags}`", "tags.indexOf`x`",
		`2n ** 100000000n > 0n`, `1n`, `tags.replace(/./g, tags)`, `tags.replace(/./g, "$` + "`" + `")`, `tags.replace(/x/, String)`, `tags.replace(/x/)`,
		`tags.replace(/x/g, "` + strings.Repeat("y", 33) + `")`, `/(?=a)/.test(tags)`, `/(a+)+\1$/.test(tags)`, `/(?<!a)b/.test(tags)`,
		`/a/ == tags`, `[/a/][0].test(tags)`, `tags.indexOf(/a/)`, `/a/.toString() == tags`, `/a/.source`, `/a/y.test(tags)`, `/a/d.test(tags)`, `tags.test(/a/)`,
		`/a/.test()`, `"%test(0)" + %test(0)`, `tags["%match"](0)`, `tags.match(/a+b/g)`, `tags.match(/a+$|a/g)`, `tags.replace(/(ab)+c/g, "")`, `tags.split(/(,)/)`,
		`tags.split(/,/, 2)`, `tags.match(/x*/g)`, `tags.split(/x*/)`, `tags.replace(/\b/g, "-")`, `tags.split(/.+?,/)`, `tags.startsWith(/a/)`, `tags[/a/]`,
		`tags.match("(?=a)")`, `tags.search(tags)`, `tags.match()`, `/(a{500}){500}/.test(tags)`, `import("x")`, `async () => 1`,
		"if (true) true", "debugger",
	} {
		if _, err := Compile(expression); !errors.Is(err, ErrCondition) {
			t.Errorf("%s: %v, want ErrCondition", expression, err)
		}
	}
}

// TestConditionsThatGrowAreRefused puts together as much as the language allows out of
// little.
func TestConditionsThatGrowAreRefused(t *testing.T) {
	t.Parallel()
	doubled, replaced, put := "tags", "tags", "tags"
	for range 100 {
		doubled = "(" + doubled + `.split("")+"")`
	}
	for range 60 {
		replaced += `.replace(/./g,"` + strings.Repeat("z", 28) + `")`
	}
	for range 20 {
		put += "+tags"
	}
	for _, text := range []string{
		doubled, replaced, put, "[" + put + "]", "(" + put + ").length > 1", "true ? " + put + " : 1", "String(" + put + ")", "-(" + put + ")",
		`tags.match(/` + strings.Repeat("(", 50) + "a" + strings.Repeat(")", 50) + `/)`, "(tags+tags+tags).localeCompare(tags)", `"x".localeCompare(tags+tags+tags)`,
		strings.Repeat(`tags.toUpperCase()+`, 8) + `""`,
	} {
		_, err := Compile(text)
		if !errors.Is(err, ErrCondition) || !strings.Contains(err.Error(), "putting so much text together") {
			t.Errorf("%.40s…: %v", text, err)
		}
	}
}

// TestConditionsReadNoFiles names a file as a debugger's source map.
func TestConditionsReadNoFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"/etc/hostname", "/nowhere", "condition_test.go"} {
		c, err := Compile("true\n//# sourceMappingURL=" + file)
		if err != nil {
			t.Errorf("%s is looked for: %v", file, err)
		} else if !c.Match(Facts{}) {
			t.Errorf("%s: true is not true", file)
		}
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
