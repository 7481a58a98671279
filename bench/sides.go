package bench

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// serverSide is the server under test, told over its gateway port to broadcast.
type serverSide struct {
	server  *target
	devices *child
	gateway *gateway
	content []byte
	expect  int64 // bytes of a round
}

func (b *Broadcast) openServerSide(ctx context.Context) (s *serverSide, err error) {
	s = &serverSide{content: bytes.Repeat([]byte{'.'}, b.Size), expect: int64(b.Devices) * sealedSize(b.Size)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.server, err = b.open(ctx); err != nil {
		return s, err
	}
	b.progress("broadcast: logging in %d devices", b.Devices)
	if s.devices, err = b.devices(ctx, s.server.device, "bytes"); err != nil {
		return s, err
	}
	if _, err = s.devices.ask(ctx, order{Op: opConnect, Devices: b.Devices}); err != nil {
		return s, err
	}
	s.gateway, err = dialGateway(ctx, s.server.gateway)
	return s, err
}

func (s *serverSide) round(ctx context.Context) error {
	if _, err := s.devices.ask(ctx, order{Op: opExpect, Units: s.expect}); err != nil {
		return err
	}
	if err := s.gateway.broadcast(ctx, s.content); err != nil {
		return err
	}
	return arrived(ctx, s.devices, "broadcast")
}

func (s *serverSide) cpu(ctx context.Context) (time.Duration, error) {
	u, err := s.server.usage(ctx)
	return u.CPU, err
}

func (s *serverSide) close() {
	if s.gateway != nil {
		s.gateway.close()
	}
	if s.devices != nil {
		s.devices.close()
	}
	if s.server != nil {
		s.server.close()
	}
}

// bareSide is the bare loop of writes.
type bareSide struct {
	writer  *child
	devices *child
	expect  int64
}

func (b *Broadcast) openBareSide(ctx context.Context) (s *bareSide, err error) {
	s = &bareSide{expect: int64(b.Devices) * int64(protocol.HeaderSize+b.Size)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	own, err := program("")
	if err != nil {
		return s, err
	}
	if s.writer, err = startChild(ctx, own, "bare-server", "--size", fmt.Sprint(b.Size)); err != nil {
		return s, err
	}
	listening, err := s.writer.await(ctx, opListening)
	if err != nil {
		return s, err
	}
	b.progress("broadcast: connecting %d plain sockets", b.Devices)
	if s.devices, err = b.devices(ctx, listening.Address, "plain"); err != nil {
		return s, err
	}
	return s, s.fill(ctx, b.Devices)
}

// fill connects the sockets; the writer accepts meanwhile.
func (s *bareSide) fill(ctx context.Context, count int) error {
	if err := s.writer.tell(order{Op: opAccepted, Devices: count}); err != nil {
		return err
	}
	if _, err := s.devices.ask(ctx, order{Op: opConnect, Devices: count}); err != nil {
		return err
	}
	_, err := s.writer.await(ctx, opAccepted)
	return err
}

func (s *bareSide) round(ctx context.Context) error {
	if _, err := s.devices.ask(ctx, order{Op: opExpect, Units: s.expect}); err != nil {
		return err
	}
	if _, err := s.writer.ask(ctx, order{Op: opWrite}); err != nil {
		return err
	}
	return arrived(ctx, s.devices, "bare round")
}

func (s *bareSide) cpu(context.Context) (time.Duration, error) {
	u, err := processUsage(s.writer.pid())
	return u.CPU, err
}

func (s *bareSide) close() {
	if s.devices != nil {
		s.devices.close()
	}
	if s.writer != nil {
		s.writer.close()
	}
}

// arrived waits until the devices have counted what they were told to expect, and
// says how far they came if they do not.
func arrived(ctx context.Context, devices *child, what string) error {
	_, err := devices.await(ctx, opReached)
	if err == nil {
		return nil
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	got, failed := devices.ask(patience, order{Op: opReport})
	if failed != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w; %d units had arrived and the server had ended %d connections", what, err, got.Units, got.Ended)
}
