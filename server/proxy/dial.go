package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Resolver finds the addresses of a name. [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// refusedError: the destination may not be reached.
type refusedError struct{ what string }

func (e *refusedError) Error() string { return e.what }

// dialError: the destination could not be reached.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// maxAddresses of one name are tried.
const maxAddresses = 4

// dial connects to host:port of a URL: to one of its backends, or to the addresses of
// the host that are allowed. The name is resolved here and nowhere else.
func (p *Proxy) dial(ctx context.Context, network, endpoint string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opt.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, &dialError{err}
	}
	if b := p.mapping.pick(host); b != nil {
		nc, err := p.opt.Dial(ctx, network, b.address)
		if err != nil {
			return nil, &dialError{err}
		}
		return nc, nil
	}
	addresses, err := p.addresses(ctx, endpoint, host, port)
	if err != nil {
		return nil, err
	}
	return p.dialFirst(ctx, network, addresses, port)
}

// addresses are those of the host that may be dialled, at most maxAddresses.
func (p *Proxy) addresses(ctx context.Context, endpoint, host, port string) ([]netip.Addr, error) {
	found := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		found = append(found, a)
	} else if found, err = p.opt.Resolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, &dialError{err}
	}
	var allowed []netip.Addr
	for _, a := range found {
		if p.private.allow(endpoint, a, port) && len(allowed) < maxAddresses {
			allowed = append(allowed, a.Unmap())
		}
	}
	switch {
	case len(found) == 0:
		return nil, &dialError{fmt.Errorf("%s has no address", host)}
	case len(allowed) == 0:
		return nil, &refusedError{fmt.Sprintf("%s is at %v, which is no public address", endpoint, found[0])}
	}
	return allowed, nil
}

// dialFirst tries the addresses one after the other, each for its share of the time.
func (p *Proxy) dialFirst(ctx context.Context, network string, addresses []netip.Addr, port string) (net.Conn, error) {
	deadline, _ := ctx.Deadline()
	var errs []error
	for i, a := range addresses {
		share, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addresses)-i))
		nc, err := p.opt.Dial(share, network, net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return nc, nil
		}
		errs = append(errs, err)
	}
	return nil, &dialError{errors.Join(errs...)}
}

const (
	healthInterval = 20 * time.Second // as in MPush
	healthTimeout  = time.Second
)

// watch checks all backends now and every healthInterval until Close.
func (p *Proxy) watch() {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		p.checkBackends()
		select {
		case <-p.life.Done():
			return
		case <-tick.C:
		}
	}
}

// checkBackends sees for each backend whether it takes a connection.
func (p *Proxy) checkBackends() {
	var wait sync.WaitGroup
	for host, list := range p.mapping {
		for _, b := range list {
			wait.Go(func() { p.checkBackend(host, b) })
		}
	}
	wait.Wait()
}

func (p *Proxy) checkBackend(host string, b *backend) {
	ctx, cancel := context.WithTimeout(p.life, healthTimeout)
	defer cancel()
	nc, err := p.opt.Dial(ctx, "tcp", b.address)
	if err == nil {
		_ = nc.Close()
	}
	if p.life.Err() != nil || b.down.Swap(err != nil) == (err != nil) {
		return
	}
	if err == nil {
		p.log.Info("a backend of the HTTP proxy answers again", "host", host, "backend", b.address)
		return
	}
	p.log.Warn("a backend of the HTTP proxy does not answer, others take its requests", "host", host, "backend", b.address, "err", err)
	p.transport.CloseIdleConnections() // those to it would still be used
}
