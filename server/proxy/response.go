package proxy

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	maxResponseHeaders     = 256      // lines
	maxResponseHeaderBytes = 64 << 10 // all of them
	firstRead              = 4 << 10  // of a body of unknown length
)

var (
	errTooLarge = errors.New("the answer is larger than allowed")
	errNoMemory = errors.New("the answers under way take all the memory they may")
	errSwitched = errors.New("the destination wants to speak another protocol")
)

// budget is the memory that all answers under way share.
type budget struct {
	used  atomic.Int64
	limit int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// loan is what one answer took of a budget.
type loan struct {
	budget *budget
	taken  int64
}

func (l *loan) take(n int64) error {
	if !l.budget.take(n) {
		return errNoMemory
	}
	l.taken += n
	return nil
}

// keep gives back all but n.
func (l *loan) keep(n int64) {
	if l.taken > n {
		l.budget.give(l.taken - n)
		l.taken = n
	}
}

func (l *loan) giveBack() {
	if l.taken > 0 {
		l.budget.give(l.taken)
		l.taken = 0
	}
}

// readBody reads a body of at most most bytes, taking memory for it as it arrives.
func readBody(res *http.Response, most int64, l *loan) ([]byte, error) {
	if res.ContentLength > most {
		return nil, errTooLarge
	}
	size := res.ContentLength
	if size < 0 {
		size = firstRead
	}
	size = min(size, most)
	if err := l.take(size); err != nil {
		return nil, err
	}
	body := make([]byte, 0, size)
	for {
		n, err := res.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		case len(body) < cap(body):
			continue
		case res.ContentLength >= 0 || int64(len(body)) == most:
			return body, atEnd(res.Body)
		}
		more := min(int64(cap(body)), most-int64(cap(body)))
		if err := l.take(more); err != nil {
			return nil, err
		}
		body = append(make([]byte, 0, int64(cap(body))+more), body...)
	}
}

// atEnd is nil if nothing more comes.
func atEnd(r io.Reader) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return errTooLarge
	case err == io.EOF:
		return nil
	default:
		return err
	}
}

// reply is what the device gets: status, reason and body as they came, and headers in
// the form that MPush's SDKs read.
func reply(res *http.Response, body []byte) (m protocol.HTTPResponse, err error) {
	if res.StatusCode < 200 {
		return m, errSwitched
	}
	header := res.Header
	removeHops(header)
	header.Del("Content-Length")
	lines := 0
	for _, values := range header {
		lines += len(values)
	}
	if lines > maxResponseHeaders {
		return m, errTooLarge
	}
	m.Status, m.Reason = int32(res.StatusCode), reason(res)
	m.Headers = string(protocol.AppendHeaders(nil, headerLines(header, len(body))...))
	if len(body) > 0 {
		m.Body = body
	}
	return m, nil
}

// headerLines has one line for a name, since the Java SDK keeps the last of several:
// the values of a list joined by commas. Cookies cannot be joined and stay apart; the
// Java SDK keeps the last, which is the one that MPush sends. Empty values come first,
// since that SDK gives them the value of the line before.
func headerLines(header http.Header, length int) []protocol.Header {
	list := []protocol.Header{{Name: "content-length", Value: strconv.Itoa(length)}}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if name != "Set-Cookie" {
			list = append(list, protocol.Header{Name: name, Value: strings.Join(header[name], ", ")})
		}
	}
	for _, cookie := range header["Set-Cookie"] {
		list = append(list, protocol.Header{Name: "Set-Cookie", Value: cookie})
	}
	slices.SortStableFunc(list, func(a, b protocol.Header) int {
		return cmp.Compare(min(len(a.Value), 1), min(len(b.Value), 1))
	})
	return list
}

// reason is the text behind the status.
func reason(res *http.Response) string {
	text := strings.TrimPrefix(strings.TrimPrefix(res.Status, strconv.Itoa(res.StatusCode)), " ")
	if text == "" {
		return http.StatusText(res.StatusCode)
	}
	return text
}
