package bench

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestParseStatCPU(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       time.Duration
		fails      bool
	}{
		{"plain", "42 (fanfare) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 2", 3 * time.Second, false},
		{"odd name", "42 (a) b (c)) R 1 42 42 0 -1 4194560 100 0 0 0 7 1 0 0 20 0 9 0 100 1 2", 80 * time.Millisecond, false},
		{"empty", "", 0, true},
		{"short", "42 (fanfare) S 1 42 42", 0, true},
		{"no number", "42 (fanfare) S 1 42 42 0 -1 4194560 100 0 0 0 x 50 0 0", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStatCPU([]byte(tt.stat))
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("parseStatCPU = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestParseStatusRSS(t *testing.T) {
	for _, tt := range []struct {
		name, status string
		want         int64
		fails        bool
	}{
		{"plain", "Name:\tfanfare\nVmHWM:\t  999 kB\nVmRSS:\t    1234 kB\nThreads:\t9\n", 1234 << 10, false},
		{"last line", "VmRSS: 1 kB", 1 << 10, false},
		{"missing", "Name:\tkthreadd\n", 0, true},
		{"other unit", "VmRSS: 1 MB\n", 0, true},
		{"no number", "VmRSS: x kB\n", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStatusRSS([]byte(tt.status))
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("parseStatusRSS = %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestProcessUsage(t *testing.T) {
	u, err := processUsage(os.Getpid())
	if errors.Is(err, errors.ErrUnsupported) {
		return // another system than Linux: the scenarios read /metrics there
	}
	if err != nil || u.RSS < 1<<20 {
		t.Errorf("this process uses %+v, %v", u, err)
	}
	if _, err := processUsage(-1); err == nil {
		t.Error("a process that cannot exist has a usage")
	}
}
