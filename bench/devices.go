package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// Devices is the hidden child that holds the devices of a scenario.
type Devices struct {
	Address   string `required:"" help:"host:port to connect to."`
	Mode      string `default:"push" enum:"push,bytes,plain" help:"push: log in, decode messages. bytes: log in, count bytes. plain: count bytes only."`
	Parallel  int    `default:"32" help:"Logins at the same time."`
	Numbers   int    `default:"0" help:"Message numbers to tell apart."`
	Frozen    int    `default:"0" help:"So many devices never read."`
	YesRemote bool   `help:"Allow an address that is not loopback."`
}

// Run takes orders from standard input until it ends.
func (d *Devices) Run(ctx context.Context) error {
	return d.serve(ctx, os.Stdin, os.Stdout)
}

func (d *Devices) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := d.check(); err != nil {
		return err
	}
	dial, err := d.dialer()
	if err != nil {
		return err
	}
	f := &fleet{dial: dial, parallel: d.Parallel, frozen: d.Frozen, meter: newMeter(d.Numbers)}
	defer f.close()
	tell := newTeller(out)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	announced := make(chan struct{})
	defer func() { cancel(); <-announced }()
	go func() {
		defer close(announced)
		announce(ctx, f.meter, tell)
	}()
	return obey(ctx, in, tell, func(ctx context.Context, o order) (event, error) { return d.carryOut(ctx, f, o) })
}

func (d *Devices) check() error {
	if d.Parallel < 1 || d.Numbers < 0 || d.Numbers > mostMessages+1 {
		return fmt.Errorf("--parallel=%d --numbers=%d: out of range", d.Parallel, d.Numbers)
	}
	if d.YesRemote {
		return nil
	}
	return checkLoopback(d.Address)
}

// announce tells the driver each time an expected count has arrived.
func announce(ctx context.Context, m *meter, tell func(event) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.reached:
			if tell(event{Op: opReached, Units: m.units.Load()}) != nil {
				return
			}
		}
	}
}

func (d *Devices) carryOut(ctx context.Context, f *fleet, o order) (event, error) {
	switch o.Op {
	case opConnect:
		start := time.Now()
		if err := checkDevices(o.Devices); err != nil {
			return event{}, err
		}
		err := f.connect(ctx, o.Devices)
		return event{Devices: f.size(), Retried: int(f.retried.Load()), Seconds: time.Since(start).Seconds()}, err
	case opExpect:
		f.meter.expect(o.Units)
		return event{}, nil
	case opReset:
		f.meter.reset()
		return event{}, nil
	case opVanish:
		f.vanish(o.Devices)
		return event{Devices: f.size()}, nil
	case opReport:
		return f.meter.report()
	default:
		return event{}, fmt.Errorf("unknown order %q", o.Op)
	}
}
