package hocon

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plain renders a tree as JSON, scalars as texts.
func plain(v *Value) any {
	switch v.Kind {
	case Object:
		m := map[string]any{}
		for _, f := range v.Fields {
			m[f.Key] = plain(f.Value)
		}
		return m
	case List:
		l := []any{}
		for _, item := range v.Items {
			l = append(l, plain(item))
		}
		return l
	case Null:
		return nil
	case Unresolved:
		return map[string]any{"unresolved": v.Text}
	}
	return v.Text
}

func render(t testing.TB, v *Value) string {
	t.Helper()
	text, err := json.Marshal(plain(v))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `"`, "'")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "{}", "  \n\t\n": "{}", "# only a comment": "{}", "{}": "{}", "\uFEFFa=1": "{'a':'1'}", "{ a : 1 }\n # end": "{'a':'1'}",
		"a=10k":                             "{'a':'10k'}",
		"a = 10 k # c":                      "{'a':'10 k'}",
		"a=0.5s":                            "{'a':'0.5s'}",
		"a=-1,b=0x10,c=010,d=1e3":           "{'a':'-1','b':'0x10','c':'010','d':'1e3'}",
		"a=99999999999999999999999":         "{'a':'99999999999999999999999'}",
		"a=127.0.0.1\nb=2":                  "{'a':'127.0.0.1','b':'2'}",
		"a=com.mpush.core.Foo":              "{'a':'com.mpush.core.Foo'}",
		"a=/tmp/x//c\nb=2":                  "{'a':'/tmp/x','b':'2'}",
		`a="http://x/#y"`:                   "{'a':'http://x/#y'}",
		`a="q\"\\\/\n\tA\u4f60"`:            "{'a':'q\\'\\\\/\\n\\tA你'}",
		`a="` + `MIIC+/=="`:                 "{'a':'MIIC+/=='}",
		"a=\"\"\"x\n\"y\"\"\"\"":            "{'a':'x\\n\\'y\\''}",
		"a=x y  z":                          "{'a':'x y  z'}",
		`a = "x" y "z w"`:                   "{'a':'x y z w'}",
		"a=true,b=off,c=null":               "{'a':'true','b':'off','c':null}",
		"a=null x":                          "{'a':'null x'}",
		"a=[]\nb={}":                        "{'a':[],'b':{}}",
		"a=[1, 2,\n3\n\n4,]":                "{'a':['1','2','3','4']}",
		"a=[\"1:2\" // c\n, 'x' ]":          "{'a':['1:2',''x'']}",
		"a=[1] [2]":                         "{'a':['1','2']}",
		"a={b=1} {c=2}":                     "{'a':{'b':'1','c':'2'}}",
		"a.b.c=1\na.b.d=2":                  "{'a':{'b':{'c':'1','d':'2'}}}",
		"a { b=1 }\na.c=2\na={b=3}":         "{'a':{'b':'3','c':'2'}}",
		"a { b=1 }\na=2":                    "{'a':'2'}",
		"a=1\na { b=1 }":                    "{'a':{'b':'1'}}",
		"a=1\na.b=2":                        "{'a':{'b':'2'}}",
		"a=1\na=2":                          "{'a':'2'}",
		"a:1\nb : 2\nc\n{d=1}":              "{'a':'1','b':'2','c':{'d':'1'}}",
		"\"a.b\".c=1\n\"\"=2":               "{'':'2','a.b':{'c':'1'}}",
		"a-b_c.10.0=1":                      "{'a-b_c':{'10':{'0':'1'}}}",
		"a=1,b=2,\nc=3":                     "{'a':'1','b':'2','c':'3'}",
		"a=\n\n  1":                         "{'a':'1'}",
		"a += 1\na += [2]":                  "{'a':['1',['2']]}",
		"a=[1]\na += 2":                     "{'a':['1','2']}",
		"include=1\nincluded=2":             "{'include':'1','included':'2'}",
		"a=1 # x = y\n// b=2\nc=3":          "{'a':'1','c':'3'}",
		"a=\u00A01\u00A0\nb=2\r\nc=3\r\n":   "{'a':'1','b':'2','c':'3'}",
		"a=${b}\nb=7":                       "{'a':'7','b':'7'}",
		"a=${b}/logs\nb=${c}\nc=/opt":       "{'a':'/opt/logs','b':'/opt','c':'/opt'}",
		"a=x${?nobody}y":                    "{'a':'xy'}",
		"a=${?nobody}":                      "{'a':{'unresolved':'${?nobody}'}}",
		"a=${nobody.at.all} x":              "{'a':{'unresolved':'${nobody.at.all}'}}",
		"a=${HOME}":                         "{'a':{'unresolved':'${HOME}'}}",
		"a=${b}\nb=${a}":                    "{'a':{'unresolved':'${b}'},'b':{'unresolved':'${b}'}}",
		"a=${a}":                            "{'a':{'unresolved':'${a}'}}",
		"a=${b}\nb=[1]":                     "{'a':{'unresolved':'${b}'},'b':['1']}",
		"a=[${b}]\nb=1":                     "{'a':['1'],'b':'1'}",
		`a=${"x.y".z}` + "\n" + `"x.y".z=1`: "{'a':'1','x.y':{'z':'1'}}",
	} {
		d, err := Parse("f", []byte(text), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := render(t, d.Root); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("MIICdgIBADANBgkqhkiG9w0B", 4)
	for text, want := range map[string]string{
		"[1]":                                   "f:1: starts with a list",
		"a":                                     "f:1: behind a a = or { is missing",
		"\n\na b\n":                             "f:3: behind a a = or { is missing",
		"a=":                                    "f:1: a has no value",
		"a=,":                                   "f:1: a has no value",
		"a=1 b=2":                               "f:1: '=' needs quotes",
		"a=b@c":                                 "f:1: '@' needs quotes",
		"a=MIIC+x":                              "f:1: '+' needs quotes",
		"a=\"x":                                 "f:1: the quotes in this line are not closed",
		"a=\"x\n\"":                             "f:1: the quotes in this line are not closed",
		`a="\x"`:                                `f:1: a \ in quotes`,
		`a="\u12"`:                              `f:1: a \ in quotes`,
		`a="\`:                                  `f:1: a \ in quotes`,
		"\na=\"\"\"x":                           `f:2: the """ in this line is not closed`,
		"a {\nb=1\n":                            "f:1: the { in this line is not closed",
		"a=1\n}":                                "f:2: } closes nothing",
		"{a=1}\nb=2":                            "f:2: 'b' stands behind the end",
		"a=[1":                                  "f:1: the [ in this line is not closed",
		"a=[1 {}]":                              "f:1: an item of a list joins values",
		"a=[1] x":                               "f:1: a joins values",
		"a={} 1":                                "f:1: a joins values",
		"a=1\n,,b=2":                            "f:2: ',' is no start of a key",
		".a=1":                                  "f:1: '.' is no start of a key",
		"a.=1":                                  "f:1: '=' is no start of a key",
		"=1":                                    "f:1: '=' is no start of a key",
		"a=1\na += 2":                           "f:2: += adds to what is no list",
		"a=${":                                  "f:1: this ${ is no substitution",
		"a=${}":                                 "f:1: this ${ is no substitution",
		"a=${b":                                 "f:1: this ${ is no substitution",
		"a=$b":                                  "f:1: '$' needs quotes",
		"include \"x\"":                         "f:1: includes are not read here",
		"include url(\"x\")":                    "f:1: include url(...) cannot be read here",
		"include classpath(\"reference.conf\")": "f:1: include classpath(...) cannot be read here",
		"include \"x":                           "f:1: this include names no file",
		strings.Repeat("a{", 100):               "f:1: is nested more than 32 levels deep",
		"a=" + strings.Repeat("[", 100_000):     "f:1: is nested more than 32 levels deep",
		strings.Repeat("a.", 100) + "a=1":       "f:1: a key has more than 32 parts",
		strings.Repeat("x\n", MaxSize):          "f:1: is too large",
		strings.Repeat("a=1\n", maxKeys+1):      "has more than 16384 keys",
		"private-key=\"" + secret + "\n" + secret + "\"": "f:1: the quotes in this line are not closed",
		"private-key=x\n" + secret + "\n":                "f:2: behind this word a = or { is missing",
	} {
		_, err := Parse("f", []byte(text), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "MIICdg") {
			t.Errorf("%v shows a secret", err)
		}
	}
}

// files is an opener over a map.
func files(m map[string]string) Opener {
	return func(name string) ([]byte, error) {
		text, ok := m[filepath.ToSlash(name)]
		switch {
		case text == "broken":
			return nil, errors.New("cannot be read: permission denied")
		case !ok:
			return nil, ErrNoFile
		}
		return []byte(text), nil
	}
}

func TestIncludes(t *testing.T) {
	t.Parallel()
	open := files(map[string]string{
		"conf/b.conf": "x=1\ny=1\ninclude \"sub/c.conf\"", "conf/sub/c.conf": "z=${x}\ninclude \"d.conf\"", "conf/sub/d.conf": "d=1", "/etc/e.conf": "e=1",
		"conf/loop.conf": "include \"loop.conf\"", "conf/bad.conf": "\n\na", "conf/list.conf": "[1]", "conf/secret.conf": "broken",
	})
	d, err := Parse("conf/a.conf", []byte("x=0\ninclude \"b.conf\"\ny=2\nm { include file(\"/etc/e.conf\") }\ninclude required(file(\"sub/d.conf\"))\ninclude \"none.conf\""), open)
	if err != nil {
		t.Fatal(err)
	}
	if got := render(t, d.Root); got != "{'d':'1','m':{'e':'1'},'x':'1','y':'2','z':'1'}" {
		t.Errorf("got %s", got)
	}
	want := "conf/a.conf:2: includes conf/b.conf, which was read\nconf/b.conf:3: includes conf/sub/c.conf, which was read\n" +
		"conf/sub/c.conf:2: includes conf/sub/d.conf, which was read\nconf/a.conf:4: includes /etc/e.conf, which was read\n" +
		"conf/a.conf:5: includes conf/sub/d.conf, which was read\nconf/a.conf:6: includes conf/none.conf, which does not exist and was left out"
	if got := strings.Join(d.Notes, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if v := d.Root.Get("z"); v.File != filepath.Join("conf", "sub", "c.conf") || v.Line != 1 {
		t.Errorf("z was written at %s:%d", v.File, v.Line)
	}
	for text, want := range map[string]string{
		"include \"loop.conf\"":                                   "conf/loop.conf:1: conf/loop.conf is included by itself",
		"include \"bad.conf\"":                                    "conf/bad.conf:3: behind a a = or { is missing",
		"include \"list.conf\"":                                   "conf/list.conf:1: starts with a list",
		"include \"secret.conf\"":                                 "conf/a.conf:1: the included file conf/secret.conf: cannot be read",
		"include required(\"none.conf\")":                         "conf/a.conf:1: the included file conf/none.conf: there is no such file",
		strings.Repeat("include \"sub/d.conf\"\n", maxIncludes+1): "more than 32 files are included",
	} {
		if _, err := Parse("conf/a.conf", []byte(text), open); err == nil || !strings.Contains(filepath.ToSlash(err.Error()), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// Substitutions that double each other end soon and small.
func TestSubstitutionBomb(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0=0123456789\n")
	for i := range 60 {
		fmt.Fprintf(&b, "a%d=${a%d}${a%d}\n", i+1, i, i)
	}
	began := time.Now()
	d, err := Parse("f", []byte(b.String()), nil)
	if err != nil || time.Since(began) > 10*time.Second {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
	if v := d.Root.Get("a60"); v.Kind != Unresolved {
		t.Errorf("a60 has %d bytes", len(v.Text))
	}
	if v := d.Root.Get("a3"); v.Text != strings.Repeat("0123456789", 8) {
		t.Errorf("a3 is %q", v.Text)
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	d, err := Parse("f", []byte("a.b=1\na.c=[1]\nd={}\n\"e.f\"=2\na.b=3"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range d.Root.Leaves() {
		names = append(names, fmt.Sprintf("%s@%d", l.Name(), l.Value.Line))
	}
	if got := strings.Join(names, " "); got != "a.b@5 a.c@2 d@3 e.f@4" {
		t.Errorf("got %s", got)
	}
	if d.Root.Get("a", "b", "c") != nil || d.Root.Get("x") != nil {
		t.Error("there is something where nothing is")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a=1\nb { c = [1, \"x\\n\"] } # c", "a=${b}\nb=${?a} x\n\"q\".r += 2", "include required(file(\"x\"))\na=\"\"\"y\"\"\"", "mp{core{max-packet-size=10k}}",
		"a=\u00A01 \uFEFF", "a=[${b}${b}]\nb=[1] [2]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		depth := 0
		d, err := Parse("f", []byte(text), func(string) ([]byte, error) {
			if depth++; depth > 3 {
				return nil, ErrNoFile
			}
			return []byte(text), nil
		})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > strings.Count(text, "\n")+1 || strings.Contains(e.Text, "\n") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		for _, l := range d.Root.Leaves() {
			if l.Value.Kind < Scalar || l.Value.Line < 1 {
				t.Fatalf("%q: %s is %+v", text, l.Name(), l.Value)
			}
		}
	})
}
