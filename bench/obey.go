package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// newTeller returns a function that writes events as lines; it is safe for
// concurrent use.
func newTeller(out io.Writer) func(event) error {
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	return func(e event) error {
		mu.Lock()
		defer mu.Unlock()
		if err := encoder.Encode(e); err != nil {
			return fmt.Errorf("tell the driver %q: %w", e.Op, err)
		}
		return nil
	}
}

// obey carries out orders one after the other until the input ends (no error) or
// the context does. A failed order is told to the driver and ends it too.
func obey(ctx context.Context, in io.Reader, tell func(event) error, do func(context.Context, order) (event, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := readOrders(ctx, cancel, in)
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-orders:
			answer, err := do(ctx, o)
			if err != nil {
				tell(event{Op: opError, Error: err.Error()}) // the driver may be gone
				return err
			}
			answer.Op = o.Op
			if err := tell(answer); err != nil {
				return err
			}
		}
	}
}

// readOrders reads lines until the input ends, then ends the context: an order
// under way is of no use to a driver that is gone. The goroutine lives as long as
// the input.
func readOrders(ctx context.Context, end context.CancelFunc, in io.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer end()
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			var o order
			if json.Unmarshal(lines.Bytes(), &o) != nil {
				return // not our driver
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	return orders
}
