package server

import (
	"context"
	"errors"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/store"
)

// storeTimeout bounds every call of the store.
const storeTimeout = 5 * time.Second

// storeFailed logs what could not be done, unless the store is known to be away: that
// was said when it went, and the calls are counted.
func (n *Node) storeFailed(seldom *exporter.Seldom, err error, text string, args ...any) {
	if !errors.Is(err, store.ErrAway) {
		seldom.Warn(n.log, text, append(args, "err", err)...)
	}
}

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
