package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// stopTime bounds the orderly end of a process, all parts together, but for the time
// that devices are given to move to other nodes.
const stopTime = 15 * time.Second

// part is something a process starts and stops.
type part struct {
	name  string
	start func() error // nil: nothing to start
	stop  func(context.Context) error
}

// parts are started in order and stopped in the reverse order. One is added as soon
// as it holds something, an address or a file, so that stop gives all of it back
// even when a later part could not be made.
type parts struct {
	log      *slog.Logger
	list     []part
	patience time.Duration // bounds the orderly end; 0 means stopTime
}

func (s *parts) add(p part) { s.list = append(s.list, p) }

// run starts the parts, calls ready, waits for ctx to end and stops the parts. If ctx
// ends before that they are stopped, too.
func (s *parts) run(ctx context.Context, ready func()) error {
	for _, p := range s.list {
		if p.start == nil {
			continue
		}
		err := p.start()
		switch {
		case err != nil && ctx.Err() != nil: // it was asked to end, which is no failure
			s.log.Info("stopping before everything has started", "starting", p.name)
			return s.stop()
		case err != nil:
			return errors.Join(fmt.Errorf("starting the %s: %w", p.name, err), s.stop())
		}
	}
	ready()
	<-ctx.Done()
	s.log.Info("stopping", "within", s.within())
	err := s.stop()
	s.log.Info("stopped")
	return err
}

func (s *parts) within() time.Duration { return cmp.Or(s.patience, stopTime) }

// stop stops every part, the last one first, within its time.
func (s *parts) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.within())
	defer cancel()
	var errs []error
	for _, p := range slices.Backward(s.list) {
		if err := p.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", p.name, err))
		}
	}
	s.list = nil
	return errors.Join(errs...)
}
