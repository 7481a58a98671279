package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

func fieldOf(t *testing.T, key string) Field {
	t.Helper()
	for _, f := range Fields() {
		if f.Key == key {
			return f
		}
	}
	t.Fatalf("no field %s", key)
	return Field{}
}

// reveal is the value of a field as it would be written, secrets included.
func reveal(f Field, c *Config) string {
	v := f.value(c)
	if !f.List {
		return text(v)
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = text(v.Index(i))
	}
	return strings.Join(items, ",")
}

func text(v reflect.Value) string {
	if s, ok := v.Interface().(Secret); ok {
		return s.Reveal()
	}
	return fmt.Sprint(v.Interface())
}

func TestDeclarations(t *testing.T) {
	envs := map[string]string{}
	keys := map[string]bool{}
	for _, f := range Fields() {
		keys[f.Key] = true
		if other, taken := envs[f.Env]; taken {
			t.Errorf("%s and %s share %s", f.Key, other, f.Env)
		}
		envs[f.Env] = f.Key
		if !strings.HasSuffix(f.Doc, ".") || strings.ContainsAny(f.Doc, "\n") {
			t.Errorf("%s: the doc %q is not a sentence in one line", f.Key, f.Doc)
		}
		c := Default()
		if f.Default != "" && reveal(f, c) != f.Default {
			t.Errorf("%s: the default is written %q, its shortest form is %q", f.Key, f.Default, reveal(f, c))
		}
		for _, bound := range []string{f.Min, f.Max} {
			if bound == "" {
				continue
			}
			if err := f.set(c, bound); err != nil {
				t.Errorf("%s: its own bound: %v", f.Key, err)
			}
		}
	}
	for _, f := range Fields() {
		if f.Secret && !keys[f.Key+"_file"] {
			t.Errorf("the secret %s has no _file twin", f.Key)
		}
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	const name = "../../../docs/CONFIGURATION.md"
	got, err := os.ReadFile(name)
	if err != nil || string(got) != string(Reference()) {
		t.Errorf("%s is not what the code says (%v); write it with: go run ./cmd/fanfare check-config --reference > docs/CONFIGURATION.md", name, err)
	}
	for _, f := range Fields() {
		if !strings.Contains(string(Reference()), "| `"+f.Key+"`") {
			t.Errorf("%s is missing", f.Key)
		}
	}
}

func TestTheExampleIsGood(t *testing.T) {
	const name = "../../../configs/fanfare/fanfare.yaml"
	mustLoad(t, Options{Role: RoleNode, File: name})
}
