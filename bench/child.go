package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// child is a process of the load generator itself that takes orders. One
// goroutine at a time may use it.
type child struct {
	*process
	orders *os.File // the writing end of its standard input
	events *eventWriter
}

// startChild runs "<exe> bench <args...>".
func startChild(ctx context.Context, exe string, args ...string) (*child, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open a pipe to bench %s: %w", args[0], err)
	}
	defer read.Close()
	events := &eventWriter{out: make(chan event, 16)}
	p, err := startProcess(ctx, "bench "+args[0], exe, append([]string{"bench"}, args...), streams{in: read, out: events})
	if err != nil {
		write.Close()
		return nil, err
	}
	return &child{process: p, orders: write, events: events}, nil
}

// ask gives an order and waits for its answer.
func (c *child) ask(ctx context.Context, o order) (event, error) {
	if err := c.tell(o); err != nil {
		return event{}, err
	}
	return c.await(ctx, o.Op)
}

// tell gives an order.
func (c *child) tell(o order) error {
	line, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode order %q: %w", o.Op, err)
	}
	if _, err := c.orders.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("order %q: %w", o.Op, err), c.lastWords())
	}
	return nil
}

// lastWords explains a broken pipe by the child's end, if it has ended.
func (c *child) lastWords() error {
	select {
	case <-c.exited:
		return c.died()
	default:
		return nil
	}
}

// await waits for the event op. A count that was reached after its driver gave up
// on it is passed over.
func (c *child) await(ctx context.Context, op string) (event, error) {
	for {
		e, err := c.next(ctx)
		switch {
		case err != nil:
			return e, fmt.Errorf("waiting for %q: %w", op, err)
		case e.Op == op:
			return e, nil
		case e.Op == opError:
			return e, fmt.Errorf("%s: %s", c.name, e.Error)
		case e.Op != opReached:
			return e, fmt.Errorf("%s answered %q where %q was expected", c.name, e.Op, op)
		}
	}
}

// next is the next event, or why there will be none.
func (c *child) next(ctx context.Context) (event, error) {
	select {
	case e := <-c.events.out:
		return e, nil
	case <-ctx.Done():
		return event{}, fmt.Errorf("%s: %w", c.name, context.Cause(ctx))
	case <-c.exited:
	}
	select {
	case e := <-c.events.out: // said before it ended
		return e, nil
	default:
		return event{}, c.died()
	}
}

// close ends the child by ending its orders, and by force if that is not enough.
func (c *child) close() {
	c.orders.Close()
	c.stop()
}

// eventWriter cuts a child's standard output into events. Its reader sees at
// most as many as the channel holds waiting; a child says one thing at a time.
type eventWriter struct {
	out     chan event
	partial []byte
}

var errTooManyEvents = errors.New("more events than anybody waits for")

// Write takes whole and partial lines.
func (w *eventWriter) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte{'\n'})
		if !found {
			break
		}
		if err := w.emit(line); err != nil {
			return 0, err
		}
		w.partial = append(w.partial[:0], rest...)
	}
	if len(w.partial) > longestLine {
		return 0, io.ErrShortBuffer
	}
	return len(p), nil
}

func (w *eventWriter) emit(line []byte) error {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("read event %.80q: %w", line, err)
	}
	select {
	case w.out <- e:
		return nil
	default:
		return errTooManyEvents
	}
}
