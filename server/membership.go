package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// membership is whether the node is announced.
type membership struct{ joined atomic.Bool }

// Join announces the node, which must serve, and returns when others can see it.
// Without a registry it does nothing. The error wraps [cluster.ErrTaken] when
// another living node has the id, or says why the registry did not answer before ctx
// ended.
func (n *Node) Join(ctx context.Context) error {
	if n.opt.Registry == nil {
		return nil
	}
	if err := n.opt.Registry.Join(ctx, n.peer()); err != nil {
		return err // it names the node
	}
	n.membership.joined.Store(true)
	n.announce() // it may drain already
	n.keeper.wantSweep(sweepOwn)
	n.log.Info("node is in the registry", "gateway", n.place.Address)
	return nil
}

// Leave takes back what Join announced.
func (n *Node) Leave(ctx context.Context) error {
	if !n.membership.joined.Swap(false) {
		return nil
	}
	if err := n.opt.Registry.Leave(ctx); err != nil {
		return fmt.Errorf("taking node %s out of the registry: %w", n.opt.ID, err)
	}
	return nil
}

// announce has the registry told of the node's present state. The keeper does it, so
// that an older state never comes last.
func (n *Node) announce() { poke(n.keeper.announce) }

// tellRegistry runs until the node stops.
func (n *Node) tellRegistry() {
	for {
		select {
		case <-n.quit:
			return
		case <-n.keeper.announce:
			if n.membership.joined.Load() {
				n.opt.Registry.Update(n.peer())
			}
		}
	}
}

// Ready tells why the node should get no devices, part by part; nil if it should.
func (n *Node) Ready() error {
	return errors.Join(n.serves(), n.storeErr(), n.registryErr())
}

func (n *Node) serves() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.state {
	case serving:
		return nil
	case draining:
		return errors.New("node is draining")
	case stopped:
		return errors.New("node is stopping")
	}
	return errors.New("node is starting")
}

func (n *Node) storeErr() error {
	if s, ok := n.opt.Store.(interface{ Err() error }); ok {
		if err := s.Err(); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

func (n *Node) registryErr() error {
	if n.opt.Registry == nil {
		return nil
	}
	if err := n.opt.Registry.Err(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if !n.membership.joined.Load() {
		return errors.New("registry: the node is not announced yet")
	}
	return nil
}

// dead tells whether a route leads to a node that the registry does not know. While
// the registry cannot be reached nobody is taken for dead.
func (n *Node) dead(address string) bool {
	r := n.opt.Registry
	if r == nil || r.Err() != nil {
		return false
	}
	peers, known := r.Peers()
	if !known {
		return false
	}
	for _, p := range peers {
		if p.Gateway == address {
			return false
		}
	}
	return true
}

var _ cluster.Local = (*Node)(nil)
