package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// srvrBytes bounds the answer to srvr, which has some 300 bytes.
const srvrBytes = 8 << 10

// zkStatus is what a ZooKeeper server says of itself.
type zkStatus struct {
	took        time.Duration // the answer itself
	latency     [3]float64    // least, average, most; seconds
	outstanding float64
	connections float64
	znodes      float64
	leads       bool // its ensemble, or it is alone
}

var (
	errNotServing = errors.New("the server does not serve: its ensemble has no majority, or srvr is not in its 4lw.commands.whitelist")
	errNoStatus   = errors.New("the answer to srvr is not that of ZooKeeper")
)

// askZooKeeper sends srvr, the one word that every ZooKeeper answers unless told otherwise,
// and reads the answer until ctx ends.
func askZooKeeper(ctx context.Context, address string) (s zkStatus, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("asking the ZooKeeper server %s for its state: %w", address, err)
		}
	}()
	began := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return s, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the calls below
	defer func() {
		unhook()
		_ = conn.Close() // nothing more is to come
	}()
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return s, err
	}
	text, err := io.ReadAll(io.LimitReader(conn, srvrBytes))
	if err != nil {
		return s, errors.Join(context.Cause(ctx), err)
	}
	took := time.Since(began)
	if s, err = parseSrvr(string(text)); err == nil {
		s.took = took
	}
	return s, err
}

// parseSrvr reads the answer to srvr: lines of "name: value".
func parseSrvr(text string) (s zkStatus, err error) {
	seen := 0
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		known, err := s.set(name, strings.TrimSpace(value))
		if err != nil {
			return zkStatus{}, fmt.Errorf("%w: %s: %w", errNoStatus, name, err)
		}
		if known {
			seen++
		}
	}
	switch {
	case strings.Contains(text, "not currently serving requests"), strings.Contains(text, "not in the whitelist"):
		return zkStatus{}, errNotServing
	case seen < 5:
		return zkStatus{}, errNoStatus
	}
	return s, nil
}

// set takes a line; false if it is one that nobody wants.
func (s *zkStatus) set(name, value string) (known bool, err error) {
	switch name {
	case "Latency min/avg/max":
		return true, s.setLatency(value)
	case "Outstanding":
		s.outstanding, err = count(value)
	case "Connections":
		s.connections, err = count(value)
	case "Node count":
		s.znodes, err = count(value)
	case "Mode":
		s.leads = value == "leader" || value == "standalone"
	default:
		return false, nil
	}
	return true, err
}

// setLatency takes three numbers of milliseconds.
func (s *zkStatus) setLatency(value string) error {
	parts := strings.Split(value, "/")
	if len(parts) != len(s.latency) {
		return fmt.Errorf("%q has not three numbers", value)
	}
	for i, part := range parts {
		milliseconds, err := count(part)
		if err != nil {
			return err
		}
		s.latency[i] = milliseconds / 1000
	}
	return nil
}

var errNoCount = errors.New("not a number of things")

// count reads a number that is not negative.
func count(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if !(n >= 0 && n < 1e18) {
		return 0, errNoCount
	}
	return n, nil
}
