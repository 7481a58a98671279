package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// maxRedirects are followed; the next one is the answer, as in MPush.
const maxRedirects = 5

// Answer ends a request. There is exactly one for each.
type Answer struct {
	protocol.HTTPResponse
	// Own tells an answer that the proxy made itself: it has a status and a reason and
	// nothing else, and MPush sends it in clear.
	Own bool
	// Gone tells that the device left before the answer, which goes nowhere.
	Gone bool

	loan loan
}

// Release gives back the memory that the answer was counted with. It is called once,
// when the answer was sent or dropped.
func (a *Answer) Release() { a.loan.giveBack() }

// Call is a request that was admitted. Run has to be called.
type Call struct {
	p        *Proxy
	out      *outgoing
	started  time.Time
	deadline time.Time
	host     *hostCalls
	key      origin
}

// Admit looks at a request and finds room for it, without blocking. The answer is nil
// if the call can be run; else it is final and there is no call.
func (p *Proxy) Admit(r *Request) (*Call, *Answer) {
	c := &Call{p: p, started: time.Now()}
	out, wish, err := parse(r)
	if err != nil {
		p.log.Debug("HTTP request of a device is malformed", "err", err)
		return nil, c.own(malformed(err), exporter.ProxyBadRequest)
	}
	if !p.allows(out.to) {
		p.log.Debug("HTTP request of a device to a destination that no rule allows", "destination", out.to.scheme+"://"+out.to.address())
		return nil, c.own(http.StatusForbidden, exporter.ProxyRefused)
	}
	c.out, c.key, c.deadline = out, out.to, c.started.Add(p.timeout(wish))
	if c.host = p.enter(c.key); c.host == nil {
		return nil, c.own(http.StatusServiceUnavailable, exporter.ProxyOverload)
	}
	return c, nil
}

// Overloaded is the answer to a request for which its connection has no room.
func (p *Proxy) Overloaded() *Answer {
	c := &Call{p: p, started: time.Now()}
	return c.own(http.StatusServiceUnavailable, exporter.ProxyOverload)
}

// malformed is MPush's status for a request that is none.
func malformed(err error) int {
	if errors.Is(err, errNoURI) || errors.Is(err, errControl) || errors.Is(err, errHeader) {
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// own makes an answer of the proxy's and counts it.
func (c *Call) own(status int, result exporter.ProxyResult) *Answer {
	c.count(result)
	return &Answer{Own: true, HTTPResponse: protocol.HTTPResponse{Status: int32(status), Reason: http.StatusText(status)}}
}

func (c *Call) count(result exporter.ProxyResult) {
	c.p.metrics.ProxyRequests(result).Inc()
	c.p.metrics.ProxyDuration().Observe(time.Since(c.started).Seconds())
}

// Run waits for the call's turn, makes the request and returns the answer. It ends
// soon after ctx does.
func (c *Call) Run(ctx context.Context) *Answer {
	defer c.p.leave(c.key, c.host)
	timed, cancel := context.WithDeadline(ctx, c.deadline)
	defer cancel()
	defer context.AfterFunc(c.p.life, cancel)()
	for _, slots := range []chan struct{}{c.host.slots, c.p.workers} {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-timed.Done():
			if c.left(ctx) {
				return c.gone()
			}
			return c.own(http.StatusServiceUnavailable, exporter.ProxyOverload)
		}
	}
	c.p.metrics.ProxyRunning.Inc()
	defer c.p.metrics.ProxyRunning.Dec()
	a := &Answer{loan: loan{budget: &c.p.memory}}
	if err := c.exchange(timed, a); err != nil {
		a.Release()
		return c.failed(ctx, timed, err)
	}
	c.count(exporter.ProxyOK)
	return a
}

// left tells that nobody waits for the answer any more.
func (c *Call) left(ctx context.Context) bool { return ctx.Err() != nil || c.p.life.Err() != nil }

func (c *Call) gone() *Answer {
	c.count(exporter.ProxyGone)
	return &Answer{Gone: true}
}

// exchange makes the request and follows redirects.
func (c *Call) exchange(ctx context.Context, a *Answer) error {
	for hop := 0; ; hop++ {
		if !c.p.allows(c.out.to) {
			return &refusedError{"redirected to " + c.out.to.scheme + "://" + c.out.to.address() + ", which no rule allows"}
		}
		res, err := c.p.transport.RoundTrip(c.out.request(ctx, c.p.mapping.plain(c.out.to.host)))
		if err != nil {
			return err
		}
		if hop < maxRedirects && c.out.redirected(res) {
			_, _ = io.CopyN(io.Discard, res.Body, 2<<10) // a short body leaves the connection usable
			_ = res.Body.Close()
			continue
		}
		return c.take(res, a)
	}
}

// take reads the answer.
func (c *Call) take(res *http.Response, a *Answer) (err error) {
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	body, err := readBody(res, c.p.opt.MaxResponse, &a.loan)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	a.loan.keep(int64(len(body)))
	a.HTTPResponse, err = reply(res, body)
	return err
}

// failed is MPush's answer to what went wrong.
func (c *Call) failed(ctx, timed context.Context, err error) *Answer {
	if c.left(ctx) {
		return c.gone()
	}
	c.p.log.Debug("HTTP request of a device failed", "destination", c.out.to.scheme+"://"+c.out.to.address(), "err", err)
	var refused *refusedError
	var dial *dialError
	var slow net.Error
	switch {
	case errors.As(err, &refused):
		return c.own(http.StatusForbidden, exporter.ProxyRefused)
	case timed.Err() != nil:
		return c.own(http.StatusRequestTimeout, exporter.ProxyTimeout)
	case errors.Is(err, errTooLarge):
		return c.own(http.StatusBadGateway, exporter.ProxyTooLarge)
	case errors.Is(err, errNoMemory):
		return c.own(http.StatusServiceUnavailable, exporter.ProxyOverload)
	case errors.As(err, &dial), errors.As(err, &slow) && slow.Timeout(): // connecting, or TLS
		return c.own(http.StatusGatewayTimeout, exporter.ProxyConnect)
	}
	return c.own(http.StatusBadGateway, exporter.ProxyUpstream)
}
