package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// confUnits are the units of sizes in HOCON: like MPush's own files most mean powers of
// 1024, but those that are spelled like "kB" mean powers of 1000.
var confUnits = map[string]float64{
	"": 1, "b": 1, "B": 1, "byte": 1, "bytes": 1,
	"k": 1 << 10, "K": 1 << 10, "Ki": 1 << 10, "KiB": 1 << 10, "kibibyte": 1 << 10, "kibibytes": 1 << 10,
	"m": 1 << 20, "M": 1 << 20, "Mi": 1 << 20, "MiB": 1 << 20, "mebibyte": 1 << 20, "mebibytes": 1 << 20,
	"g": 1 << 30, "G": 1 << 30, "Gi": 1 << 30, "GiB": 1 << 30, "gibibyte": 1 << 30, "gibibytes": 1 << 30,
	"kB": 1e3, "kilobyte": 1e3, "kilobytes": 1e3, "MB": 1e6, "megabyte": 1e6, "megabytes": 1e6, "GB": 1e9, "gigabyte": 1e9, "gigabytes": 1e9,
}

// confTimes are the units of times; without one it is milliseconds.
var confTimes = map[string]time.Duration{
	"": time.Millisecond, "ns": time.Nanosecond, "nano": time.Nanosecond, "nanos": time.Nanosecond, "nanosecond": time.Nanosecond, "nanoseconds": time.Nanosecond,
	"us": time.Microsecond, "micro": time.Microsecond, "micros": time.Microsecond, "microsecond": time.Microsecond, "microseconds": time.Microsecond,
	"ms": time.Millisecond, "milli": time.Millisecond, "millis": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "second": time.Second, "seconds": time.Second, "m": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

// number splits a text into a number, which is not negative, and its unit.
func number(text string) (n float64, unit string, ok bool) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	n, err := strconv.ParseFloat(text[:end], 64)
	return n, strings.TrimSpace(text[end:]), err == nil && n >= 0
}

// confSize reads a size of HOCON.
func confSize(text string) (config.Size, error) {
	n, unit, ok := number(text)
	factor, known := confUnits[unit]
	if !ok || !known || n*factor > math.MaxInt64/2 {
		return 0, fmt.Errorf("%s is no size", quoted(text))
	}
	return config.Size(n * factor), nil
}

// confTime reads a time of HOCON.
func confTime(text string) (time.Duration, error) {
	n, unit, ok := number(text)
	factor, known := confTimes[unit]
	if !ok || !known || n*float64(factor) > math.MaxInt64/2 {
		return 0, fmt.Errorf("%s is no time", quoted(text))
	}
	return time.Duration(math.Round(n * float64(factor))), nil
}

// confNumber reads a whole number that is not negative.
func confNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s is no whole number", quoted(text))
	}
	return int(n), nil
}

// confBool reads a boolean of HOCON.
func confBool(text string) (bool, error) {
	switch text {
	case "true", "yes", "on":
		return true, nil
	case "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", quoted(text))
}

// quoted shows a text in a reason, unless it is long.
func quoted(text string) string {
	if len(text) > 40 {
		return "the text"
	}
	return strconv.Quote(text)
}

// duration is the value of a setting of ours as it will be, its default included.
func (in *imported) duration(key string) time.Duration {
	var d config.Duration
	_ = d.UnmarshalText([]byte(in.value(key)))
	return d.Std()
}

// size is the same for a number of bytes.
func (in *imported) size(key string) (z config.Size) {
	_ = z.UnmarshalText([]byte(in.value(key)))
	return z
}

func (in *imported) value(key string) string {
	if s := in.settings[key]; s != nil {
		return s.text
	}
	for _, f := range config.Fields() {
		if f.Key == key {
			return f.Default
		}
	}
	panic("no setting " + key)
}

// copy gives another setting the value of one that is there.
func (in *imported) copy(from, to string) { in.settings[to] = in.settings[from] }

// The forms in which values are taken over.

func asSize(text string) (string, error) {
	z, err := confSize(text)
	return z.String(), err
}

func asTime(text string) (string, error) {
	d, err := confTime(text)
	return config.Duration(d).String(), err
}

func asNumber(text string) (string, error) {
	n, err := confNumber(text)
	return strconv.Itoa(n), err
}

func asText(text string) (string, error) { return text, nil }

// asLevel is the level of ours that is nearest to one of logback.
func asLevel(text string) (string, error) {
	switch strings.ToLower(text) {
	case "all", "trace", "debug":
		return "debug", nil
	case "info":
		return "info", nil
	case "warn":
		return "warn", nil
	case "error", "off":
		return "error", nil
	}
	return "", fmt.Errorf("%s is no level", quoted(text))
}
