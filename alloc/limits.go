package alloc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

const (
	maxInFlight = 4096 // requests of the API at a time; one more gets 503
	maxBodies   = 64   // bodies of the greatest size that may be in memory at a time
)

// limits bound what callers can make the allocator do at a time.
type limits struct {
	maxBody int64
	rate    *rate.Limiter
	bodies  *semaphore.Weighted // in bytes

	mu      sync.Mutex
	running int
	idle    *sync.Cond // signalled when running falls to 0
}

func newLimits(perSecond float64, burst int, maxBody int64) *limits {
	l := &limits{
		maxBody: maxBody,
		rate:    rate.NewLimiter(rate.Limit(perSecond), burst),
		bodies:  semaphore.NewWeighted(maxBodies * maxBody),
	}
	if perSecond < 0 {
		l.rate.SetLimit(rate.Inf)
	}
	l.idle = sync.NewCond(&l.mu)
	return l
}

// enter begins a request; leave ends it. A request over the bound is refused.
func (l *limits) enter() *problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running >= maxInFlight {
		p := refuse(http.StatusServiceUnavailable, "busy", "%d requests are being served already", maxInFlight)
		p.retryAfter = time.Second
		return p
	}
	l.running++
	return nil
}

func (l *limits) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running--; l.running == 0 {
		l.idle.Broadcast()
	}
}

// wait returns when no request is running. Closing a server does not wait for the
// handlers of its connections.
func (l *limits) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running > 0 {
		l.idle.Wait()
	}
}

// admit takes a token from the bucket, or says when there will be one.
func (l *limits) admit(now time.Time) *problem {
	reservation := l.rate.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if reservation.OK() && delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	p := refuse(http.StatusTooManyRequests, "rate_limited", "more than %g calls per second", float64(l.rate.Limit()))
	p.retryAfter = max(min(delay, time.Minute), time.Second)
	return p
}

// checkLength refuses a body that is announced to be too large before it is read.
func (l *limits) checkLength(r *http.Request) *problem {
	if r.ContentLength > l.maxBody {
		return l.tooLarge()
	}
	return nil
}

func (l *limits) tooLarge() *problem {
	return refuse(http.StatusRequestEntityTooLarge, "body_too_large", "the body may have at most %d bytes", l.maxBody)
}

// read takes the whole body into memory and passes it to use, whose result it
// returns; the body counts against the memory for bodies until then. A body of
// unknown length counts as one of the greatest size.
func (l *limits) read(w http.ResponseWriter, r *http.Request, use func(body []byte) error) error {
	weight := r.ContentLength
	if weight < 0 {
		weight = l.maxBody
	}
	if !l.bodies.TryAcquire(weight) {
		p := refuse(http.StatusServiceUnavailable, "busy", "too many large requests are being read already")
		p.retryAfter = time.Second
		return p
	}
	defer l.bodies.Release(weight)
	var body bytes.Buffer // grows with what arrives, not with what is announced
	if _, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, l.maxBody)); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return l.tooLarge()
		}
		return invalid("", "body_incomplete", "the body could not be read to its end")
	}
	return use(body.Bytes())
}
