package bench

import (
	"crypto/aes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	// spareFiles is what a process needs beside its devices: listeners, pipes,
	// libraries, an epoll instance, a data directory, the producers' connections.
	spareFiles = 100
	// mostDevices bounds every scenario.
	mostDevices = 1_000_000
	// mostMessages bounds a run; a bit is kept for each.
	mostMessages = 100 * mostDevices
	// devicesPerSource is how many connections come from one address: one address
	// has some 28,000 ports for connections to one server on a stock Linux.
	devicesPerSource = 20_000
)

// checkFiles says clearly when devices cannot fit into one process with the given
// limit of open files (0: unknown).
func checkFiles(devices int, limit uint64) error {
	need := uint64(devices + spareFiles)
	if limit == 0 || need <= limit {
		return nil
	}
	most := max(int64(limit)-spareFiles, 0)
	return fmt.Errorf("%d devices need %d open files in the server and in the process of the devices, but a process here "+
		"may have %d: raise the limit (ulimit -n) or use at most --devices=%d", devices, need, limit, most)
}

// checkDevices bounds the count of a scenario by what is sensible and by the
// limit of open files.
func checkDevices(devices int) error {
	if devices < 1 || devices > mostDevices {
		return fmt.Errorf("--devices=%d: want 1 to %d", devices, mostDevices)
	}
	return checkFiles(devices, openFileLimit())
}

var errRemote = errors.New("the load generator stays on loopback: add --yes-remote if that machine is yours to load")

// checkLoopback refuses an address host:port whose host is not a loopback address
// or "localhost". Names are not resolved.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("address %q: %w", address, errRemote)
	}
	return nil
}

// sourceOf is the address that device i connects from: nil, the system's choice,
// for the first [devicesPerSource], then 127.0.0.2 and so on.
func sourceOf(i int) net.Addr {
	block := i / devicesPerSource
	if block == 0 {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+block%250))}
}

// userOf names the user of device i.
func userOf(i int) string { return "bench-" + strconv.Itoa(i) }

// sealedSize is the length on the wire of a push of n content bytes to a device
// that did a handshake: the header and the content padded to AES blocks. It holds
// below the server's threshold of compression.
func sealedSize(n int) int64 {
	return int64(protocol.HeaderSize + (n/aes.BlockSize+1)*aes.BlockSize)
}
