package config

import (
	"encoding"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Field is one setting as the code declares it in the tags of [Config].
type Field struct {
	Key     string   // dotted, as in the file and in --set
	Env     string   // the environment variable
	Default string   // as it would be written
	Doc     string   // one or more sentences
	Min     string   // smallest value, as it would be written; empty = none
	Max     string   // largest value
	OneOf   []string // the only values, empty = any
	Kind    string   // "listen" or "address" for host:port texts, else empty
	Secret  bool     // the value is never printed
	List    bool     // several values, comma separated in --set and the environment
	Public  bool     // an address whose host follows the --listen flag of run

	index []int
}

// Fields lists every setting in the order of the declaration.
func Fields() []Field { return appendFields(nil, reflect.TypeFor[Config](), "", nil) }

func appendFields(dst []Field, t reflect.Type, prefix string, index []int) []Field {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, ok := sf.Tag.Lookup("key")
		if !ok {
			continue
		}
		at := append(index[:len(index):len(index)], i)
		if isSection(sf.Type) {
			dst = appendFields(dst, sf.Type, prefix+name+".", at)
			continue
		}
		dst = append(dst, newField(prefix+name, sf, at))
	}
	return dst
}

// isSection tells a group of settings from a value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

func newField(key string, sf reflect.StructField, index []int) Field {
	f := Field{
		Key: key, Env: "FANFARE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_")),
		Default: sf.Tag.Get("default"), Doc: sf.Tag.Get("doc"),
		Min: sf.Tag.Get("min"), Max: sf.Tag.Get("max"), Kind: sf.Tag.Get("kind"),
		List: sf.Type.Kind() == reflect.Slice, Public: sf.Tag.Get("host") == "public", index: index,
	}
	if s := sf.Tag.Get("oneof"); s != "" {
		f.OneOf = strings.Split(s, "|")
	}
	base := sf.Type
	if f.List {
		base = base.Elem()
	}
	f.Secret = base == reflect.TypeFor[Secret]()
	return f
}

func (f Field) value(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.index) }

// set reads one text into the field of c and checks it against the field's bounds.
// Lists are split at commas. The error says what is wrong without a secret value.
func (f Field) set(c *Config, text string) error {
	if !f.List {
		return f.setValue(f.value(c), text)
	}
	var items []string
	if strings.TrimSpace(text) != "" {
		items = strings.Split(text, ",")
	}
	return f.setList(c, items)
}

// setList replaces the list.
func (f Field) setList(c *Config, items []string) error {
	list := reflect.MakeSlice(f.value(c).Type(), len(items), len(items))
	for i, item := range items {
		item = strings.TrimSpace(item)
		if item == "" {
			return fmt.Errorf("has an empty element; remove it")
		}
		if err := f.setValue(list.Index(i), item); err != nil {
			return err
		}
	}
	f.value(c).Set(list)
	return nil
}

func (f Field) setValue(v reflect.Value, text string) error {
	next := reflect.New(v.Type()).Elem()
	if err := parse(next, text); err != nil {
		return fmt.Errorf("%s%w", f.quote(text), err)
	}
	if err := f.check(next, text); err != nil {
		return err
	}
	v.Set(next)
	return nil
}

// quote shows the text at the start of a problem unless it is secret or long.
func (f Field) quote(text string) string {
	if f.Secret || len(text) > 80 {
		return ""
	}
	return strconv.Quote(text) + " "
}

func (f Field) check(v reflect.Value, text string) error {
	if len(f.OneOf) > 0 && !slices.Contains(f.OneOf, text) {
		return fmt.Errorf("%sis not known%s", f.quote(text), didYouMean(text, f.OneOf))
	}
	if f.Min != "" && less(v, f.bound(v.Type(), f.Min)) {
		return fmt.Errorf("%sis too small; the least is %s", f.quote(text), f.Min)
	}
	if f.Max != "" && less(f.bound(v.Type(), f.Max), v) {
		return fmt.Errorf("%sis too large; the most is %s", f.quote(text), f.Max)
	}
	if f.Kind != "" && text != "" {
		return f.checkAddress(text)
	}
	return nil
}

func (f Field) checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%sis not host:port; write for example 127.0.0.1:3000 or :3000", f.quote(text))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%shas no port from 0 to 65535; write for example 127.0.0.1:3000", f.quote(text))
	}
	if f.Kind == "address" && (host == "" || n == 0) {
		return fmt.Errorf("%sneeds a host and a port that others can reach; write for example push.example.org:3000", f.quote(text))
	}
	return nil
}

// bound parses a limit from a tag. The tags are checked by a test.
func (f Field) bound(t reflect.Type, text string) reflect.Value {
	v := reflect.New(t).Elem()
	if err := parse(v, text); err != nil {
		panic(fmt.Sprintf("tag of %s: %v", f.Key, err))
	}
	return v
}

// parse reads text into v by v's type.
func parse(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("is not true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("is not a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n != n {
			return fmt.Errorf("is not a number")
		}
		v.SetFloat(n)
	default:
		panic("no parser for " + v.Type().String())
	}
	return nil
}

func less(a, b reflect.Value) bool {
	if a.Kind() == reflect.Float64 {
		return a.Float() < b.Float()
	}
	return a.Int() < b.Int()
}
