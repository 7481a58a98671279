package server

import (
	"context"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

// storeTimeout bounds every call of the store.
const storeTimeout = 5 * time.Second

// ask makes one call of the store, bounded in time and counted with its result.
func (n *Node) ask(op exporter.StoreOperation, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	start := time.Now()
	err := call(ctx)
	result := exporter.ResultOK
	if err != nil {
		result = exporter.ResultError
	}
	n.metrics.StoreDuration(op, result).Observe(time.Since(start).Seconds())
	return err
}
