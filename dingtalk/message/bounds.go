package message

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// What a template may take before it is stopped.
const (
	mostOutput = 64 << 10        // bytes that it writes
	mostTime   = 2 * time.Second // from its start, see clocked
	mostText   = 256 << 10       // bytes of a text that a function makes
	mostItems  = 10000           // numbers of a list that a function makes
	mostWeight = 8 * mostText    // bytes and items that a function is given or makes
	mostDepth  = 50              // lists within lists
)

// errTooMuch: the template would make more than a message can hold. With fewer alerts it
// may not.
var errTooMuch = errors.New("the template makes too much text")

// bound wraps a function for templates: it fails with errTooMuch instead of taking much
// memory, and instead of following what contains itself.
func bound(name string, f any) any {
	inner := reflect.ValueOf(f)
	kind := inner.Type()
	in := make([]reflect.Type, kind.NumIn())
	for i := range in {
		in[i] = kind.In(i)
	}
	failure := reflect.TypeFor[error]()
	out := []reflect.Type{kind.Out(0), failure}
	return reflect.MakeFunc(reflect.FuncOf(in, out, kind.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		refuse := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(out[0]), reflect.ValueOf(&err).Elem()}
		}
		if weigh(args...) > mostWeight || amplifies(name, args) {
			return refuse(fmt.Errorf("%s: %w", name, errTooMuch))
		}
		var results []reflect.Value
		if kind.IsVariadic() {
			results = inner.CallSlice(args)
		} else {
			results = inner.Call(args)
		}
		if len(results) == 2 && !results[1].IsNil() {
			return []reflect.Value{results[0], results[1]}
		}
		if weigh(results[0]) > mostWeight || results[0].Kind() == reflect.String && results[0].Len() > mostText {
			return refuse(fmt.Errorf("%s: %w", name, errTooMuch))
		}
		return []reflect.Value{results[0], reflect.Zero(failure)}
	}).Interface()
}

// amplifies reports whether a function would make much more than it is given.
func amplifies(name string, args []reflect.Value) bool {
	length := func(i int) int { return weigh(args[i]) }
	switch name {
	case "repeat":
		n := args[0].Int()
		return n > mostText || n > 0 && int(n)*length(1) > mostText
	case "indent", "nindent":
		n := args[0].Int()
		return n > 1000 || n > 0 && int(n)*(1+strings.Count(args[1].String(), "\n")) > mostText
	case "until":
		return args[0].Int() > mostItems || args[0].Int() < -mostItems
	case "untilStep":
		return steps(args[0].Int(), args[1].Int(), args[2].Int()) > mostItems
	case "seq":
		return sequence(args[0])
	case "replace", "reReplaceAll", "regexReplaceAll", "mustRegexReplaceAll", "regexReplaceAllLiteral", "mustRegexReplaceAllLiteral":
		return tooMany(length(1)+1, length(2)+1)
	case "join":
		return tooMany(length(0)+1, length(1)+1)
	case "wrapWith":
		return tooMany(length(1)+1, length(2)+1)
	case "printf":
		return tooMany(strings.Count(args[0].String(), "%"), 64+length(1)) || wide(args[0].String())
	}
	return false
}

// tooMany reports whether so many times so much is too much.
func tooMany(times, much int) bool { return times*much > 4*mostText && times > 1 }

// wide reports whether a format asks for a width of thousands, or leaves it to an argument.
func wide(format string) bool {
	digits := 0
	for _, c := range format {
		if c == '*' {
			return true
		}
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > 3 {
			return true
		}
	}
	return false
}

// steps is how many steps lie between two numbers.
func steps(start, stop, step int64) float64 {
	if step == 0 {
		return 0
	}
	return (float64(stop) - float64(start)) / float64(step)
}

// sequence reports whether "seq" would count far.
func sequence(numbers reflect.Value) bool {
	n := make([]int64, numbers.Len())
	for i := range n {
		n[i] = numbers.Index(i).Int()
	}
	switch len(n) {
	case 1:
		return n[0] > mostItems || n[0] < -mostItems
	case 2:
		return max(steps(n[0], n[1], 1), steps(n[1], n[0], 1)) > mostItems
	case 3:
		return steps(n[0], n[2], n[1]) > mostItems
	}
	return false
}

// weigh counts the bytes and items of values, up to just over mostWeight.
func weigh(values ...reflect.Value) int {
	total := 0
	for _, v := range values {
		weighInto(v, &total, 0)
	}
	return total
}

func weighInto(v reflect.Value, total *int, depth int) {
	if *total++; *total > mostWeight {
		return
	}
	if depth > mostDepth {
		*total = mostWeight + 1
		return
	}
	switch v.Kind() {
	case reflect.String:
		*total += v.Len()
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			weighInto(v.Elem(), total, depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && *total <= mostWeight; i++ {
			weighInto(v.Index(i), total, depth+1)
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next() && *total <= mostWeight; {
			weighInto(entries.Key(), total, depth+1)
			weighInto(entries.Value(), total, depth+1)
		}
	case reflect.Struct:
		for i := 0; i < v.NumField() && v.Type() != reflect.TypeFor[time.Time](); i++ {
			if v.Type().Field(i).IsExported() {
				weighInto(v.Field(i), total, depth+1)
			}
		}
	}
}

// output collects what a template writes and stops it when that is too much.
type output struct {
	strings.Builder
	deadline time.Time
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.Len()+len(p) > mostOutput {
		o.Builder.Write(p[:mostOutput-o.Len()])
		return 0, errTooMuch
	}
	if time.Now().After(o.deadline) {
		return 0, errors.New("the template takes too long")
	}
	return o.Builder.Write(p)
}
