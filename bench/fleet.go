package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// dialTries is how often a device tries to log in; a server protects itself by
	// refusing when its pool for RSA is full.
	dialTries = 6
	// dialPause grows with each try.
	dialPause = 100 * time.Millisecond
)

// receiver is a connected device.
type receiver interface {
	// receive blocks for what arrives next, counts it and returns an error when the
	// connection has ended.
	receive(*meter) error
	// close ends the connection; receive returns.
	close()
}

// fleet is a set of devices, each with a goroutine that receives.
type fleet struct {
	dial     func(ctx context.Context, i int) (receiver, error)
	parallel int // logins at the same time
	frozen   int // the first so many devices never read
	meter    *meter

	mu      sync.Mutex
	up      []receiver
	closing atomic.Bool
	retried atomic.Int64
	readers sync.WaitGroup
}

// connect logs devices in until count are up.
func (f *fleet) connect(ctx context.Context, count int) error {
	have := f.size()
	logins, ctx := errgroup.WithContext(ctx)
	logins.SetLimit(f.parallel)
	for i := have; i < count && ctx.Err() == nil; i++ {
		logins.Go(func() error { return f.join(ctx, i) })
	}
	return logins.Wait()
}

// join logs device i in and starts to read it.
func (f *fleet) join(ctx context.Context, i int) error {
	device, err := f.insist(ctx, i)
	if err != nil {
		return fmt.Errorf("device %d: %w", i, err)
	}
	f.mu.Lock()
	f.up = append(f.up, device)
	f.mu.Unlock()
	if i < f.frozen {
		return nil
	}
	f.readers.Go(func() { f.read(device) })
	return nil
}

// insist tries a few times.
func (f *fleet) insist(ctx context.Context, i int) (receiver, error) {
	var errs []error
	for try := range dialTries {
		device, err := f.dial(ctx, i)
		if err == nil {
			return device, nil
		}
		errs = append(errs, err)
		f.retried.Add(1)
		select {
		case <-time.After(time.Duration(try+1) * dialPause):
		case <-ctx.Done():
			return nil, errors.Join(append(errs, context.Cause(ctx))...)
		}
	}
	return nil, errors.Join(errs...)
}

// read receives until the connection ends.
func (f *fleet) read(device receiver) {
	for {
		if err := device.receive(f.meter); err != nil {
			break
		}
	}
	device.close()
	if !f.closing.Load() {
		f.meter.ended.Add(1)
	}
}

func (f *fleet) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.up)
}

// vanish closes the last count connections without a word to the server. They
// count as ended too.
func (f *fleet) vanish(count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	keep := max(len(f.up)-count, 0)
	for _, device := range f.up[keep:] {
		device.close()
	}
	f.up = f.up[:keep]
}

// close ends every connection and waits for the readers.
func (f *fleet) close() {
	f.closing.Store(true)
	f.mu.Lock()
	for _, device := range f.up {
		device.close()
	}
	f.mu.Unlock()
	f.readers.Wait()
}
