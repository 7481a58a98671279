package bench

import (
	"errors"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestCheckFiles(t *testing.T) {
	for _, tt := range []struct {
		devices int
		limit   uint64
		hint    string // empty: it fits
	}{
		{15_000, 20_000, ""},
		{19_900, 20_000, ""},
		{19_901, 20_000, "--devices=19900"},
		{15_000, 1024, "--devices=924"},
		{1, 50, "--devices=0"},
		{1_000_000, 0, ""},
	} {
		err := checkFiles(tt.devices, tt.limit)
		if (err != nil) != (tt.hint != "") {
			t.Errorf("checkFiles(%d, %d) = %v", tt.devices, tt.limit, err)
		}
		if err != nil && !(strings.Contains(err.Error(), tt.hint) && strings.Contains(err.Error(), "ulimit -n")) {
			t.Errorf("checkFiles(%d, %d) = %q, want the hint %q", tt.devices, tt.limit, err, tt.hint)
		}
	}
}

func TestCheckDevices(t *testing.T) {
	for _, devices := range []int{-1, 0, mostDevices + 1} {
		if checkDevices(devices) == nil {
			t.Errorf("checkDevices(%d) passes", devices)
		}
	}
	if err := checkDevices(10); err != nil {
		t.Errorf("checkDevices(10) = %v", err)
	}
}

func TestCheckLoopback(t *testing.T) {
	for _, address := range []string{"127.0.0.1:3000", "127.9.9.9:1", "[::1]:3000", "localhost:3000"} {
		if err := checkLoopback(address); err != nil {
			t.Errorf("checkLoopback(%q) = %v", address, err)
		}
	}
	for _, address := range []string{"10.0.0.1:3000", "0.0.0.0:3000", "[::]:3000", "push.example.org:3000", ":3000", "localhost.example.org:1"} {
		if err := checkLoopback(address); !errors.Is(err, errRemote) {
			t.Errorf("checkLoopback(%q) = %v, want a refusal", address, err)
		}
	}
	if err := checkLoopback("127.0.0.1"); err == nil || errors.Is(err, errRemote) {
		t.Errorf("an address without a port: %v", err)
	}
}

func TestSourceOf(t *testing.T) {
	for i, want := range map[int]string{
		devicesPerSource: "127.0.0.2:0", 2*devicesPerSource - 1: "127.0.0.2:0", 2 * devicesPerSource: "127.0.0.3:0",
	} {
		if got := sourceOf(i); got == nil || got.String() != want {
			t.Errorf("sourceOf(%d) = %v, want %s", i, got, want)
		}
	}
	for _, i := range []int{0, devicesPerSource - 1} {
		if got := sourceOf(i); got != nil {
			t.Errorf("sourceOf(%d) = %v, want the system's choice", i, got)
		}
	}
}

func TestSealedSize(t *testing.T) {
	cipher := protocol.NewCipher(protocol.SessionKey{})
	for size := 1; size < 300; size++ {
		frame, err := protocol.AppendSealed(nil, protocol.CmdPush, 0, 1, make([]byte, size), 0, cipher)
		if err != nil {
			t.Fatal(err)
		}
		if got := sealedSize(size); got != int64(len(frame)) {
			t.Fatalf("sealedSize(%d) = %d, the frame has %d bytes", size, got, len(frame))
		}
	}
}

func TestScatterReachesEverybody(t *testing.T) {
	const users = 500
	seen := map[int]bool{}
	for number := range 100 * users {
		user := scatter(number, users)
		if user < 0 || user >= users {
			t.Fatalf("scatter(%d, %d) = %d", number, users, user)
		}
		seen[user] = true
	}
	if len(seen) != users {
		t.Errorf("%d of %d users are reached", len(seen), users)
	}
}
