package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as in Go ("1m30s") or with days ("1d", "1d12h").
type Duration time.Duration

var errDuration = errors.New(`is not a duration; write a number and a unit, such as 500ms, 30s, 3m, 24h or 1d`)

// UnmarshalText reads a duration. A number without a unit is refused except 0.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	var days time.Duration
	if head, tail, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil {
			return errDuration
		}
		days, s = time.Duration(n)*24*time.Hour, tail
		if s == "" {
			*d = Duration(days)
			return nil
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || (days > 0 && rest < 0) || days > math.MaxInt64-max(rest, 0) {
		return errDuration
	}
	*d = Duration(days + rest)
	return nil
}

// MarshalText writes the shortest form without empty units: 3m, not 3m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Std is the duration for the standard library.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Size is a number of bytes, written plainly or with k, m or g. As in MPush the
// units are powers of 1024, and "KB" or "KiB" mean the same as "k".
type Size int64

var errSize = errors.New(`is not a size; write bytes or a number with k, m or g (powers of 1024), such as 10k or 64MB`)

// UnmarshalText reads a size.
func (z *Size) UnmarshalText(text []byte) error {
	s := strings.ToLower(string(text))
	digits := strings.TrimRight(s, "kmgib")
	shift, ok := map[string]uint{"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30, "gib": 30}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || !ok || n > math.MaxInt64>>shift {
		return errSize
	}
	*z = Size(n << shift)
	return nil
}

// MarshalText writes the largest unit that divides the size.
func (z Size) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

func (z Size) String() string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "g"}, {20, "m"}, {10, "k"}} {
		if z != 0 && z%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", z>>u.shift, u.name)
		}
	}
	return strconv.FormatInt(int64(z), 10)
}
