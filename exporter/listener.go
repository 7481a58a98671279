package exporter

import (
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"syscall"
	"time"
)

// Files that a listener leaves to what matters more when the process runs out of
// them. The operations port leaves none: it is needed most when all are in use.
const (
	SpareOfDevices = 64 // for the HTTP API, the operations port and the store
	SpareOfAPI     = 32 // for the operations port and the store
)

// ListenerOptions say what a [Listener] is for.
type ListenerOptions struct {
	Port    string       // its name in the log
	Spare   int          // files to leave to others; fewer where few can be opened at all
	Metrics *Metrics     // counts failures; nil means nobody does
	Logger  *slog.Logger // nil means [slog.Default]
}

// Listener accepts connections whatever happens: its Accept fails only once it is
// closed. A trouble that lasts, such as an exhausted file table, is logged once when
// it begins and once when it is over, and every failure is counted.
//
// A connection that would take one of the last files is closed at once: a device
// that sees that tries another node, where one left waiting would learn nothing.
type Listener struct {
	net.Listener
	options ListenerOptions
	files   int // descriptors from here on are for others

	refused int       // in the present trouble
	last    time.Time // when something was refused last; zero: no trouble

	once   sync.Once
	closed chan struct{}
	err    error // of the close
}

// NewListener takes over l. Accept is for one goroutine.
func NewListener(l net.Listener, o ListenerOptions) *Listener {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Listener{Listener: l, options: o, files: filesWithout(o.Spare, OpenFileLimit()), closed: make(chan struct{})}
}

// filesWithout is the first descriptor of the spare ones. Of a small table they are
// a smaller part: an eighth for SpareOfDevices, half of that for SpareOfAPI.
func filesWithout(spare, limit int) int {
	if limit == 0 {
		return math.MaxInt
	}
	return limit - min(spare, limit/8*spare/SpareOfDevices)
}

// The pause after a failed accept: without it an exhausted file table would be a
// busy loop. It doubles while accepting fails. calmTime must pass without a failure
// for the trouble to count as over, so that a table on the brink is not logged again
// and again.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
	calmTime   = 5 * time.Second
)

var errNoFiles = errors.New("nearly all files that this process may open are in use")

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	pause := firstPause
	for {
		nc, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.trouble(err)
			if !l.wait(pause) {
				return nil, net.ErrClosed
			}
			pause = min(2*pause, lastPause)
		case descriptor(nc) >= l.files:
			_ = nc.Close()
			l.trouble(errNoFiles)
			pause = firstPause
		default:
			l.calm()
			return nc, nil
		}
	}
}

// trouble accounts for a connection that could not be accepted.
func (l *Listener) trouble(err error) {
	kind := AcceptOther
	if err == errNoFiles || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		kind = AcceptEMFILE
	}
	if l.options.Metrics != nil {
		l.options.Metrics.AcceptErrors(kind).Inc()
	}
	if l.last.IsZero() {
		l.options.Logger.Error("cannot accept connections, open ones go on; trying again",
			"port", l.options.Port, "err", err, "open_files_limit", OpenFileLimit())
	}
	l.refused++
	l.last = time.Now()
}

// calm notes that a connection was accepted.
func (l *Listener) calm() {
	if l.last.IsZero() || time.Since(l.last) < calmTime {
		return
	}
	l.options.Logger.Info("accepting connections again", "port", l.options.Port, "failures", l.refused)
	l.refused, l.last = 0, time.Time{}
}

// wait reports false if the listener was closed meanwhile.
func (l *Listener) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.closed:
		return false
	case <-timer.C:
		return true
	}
}

// Close implements net.Listener; further calls return what the first did.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.err = l.Listener.Close()
	})
	return l.err
}
