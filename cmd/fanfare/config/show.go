package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Show is the value of a setting, the settings below a section one a line, or all of
// them for an empty key. Secrets are masked. ok is false when there is none of that name.
func (c *Config) Show(key string) (text string, ok bool) {
	var b strings.Builder
	for _, f := range Fields() {
		switch {
		case f.Key == key:
			return f.show(c), true
		case key == "" || strings.HasPrefix(f.Key, key+"."):
			fmt.Fprintf(&b, "%s: %s\n", f.Key, f.show(c))
		}
	}
	return b.String(), b.Len() > 0
}

func (f Field) show(c *Config) string {
	v := f.value(c)
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i).Interface())
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}
