package server

import (
	"io"
	"sync"
)

// readChunk is the buffer for one read. It is borrowed while bytes are handled, not
// while they are waited for.
const readChunk = 8 << 10

var readBuffers = sync.Pool{New: func() any { return new([readChunk]byte) }}

// read starts the goroutine that waits for bytes. It ends when receive wants no
// more or the connection is gone. Starting a new one after a pause also leaves the
// grown stack of a handshake behind. It is not WaitGroup.Go because that keeps two
// closures for as long as the goroutine runs.
func (s *stream) read() {
	s.hold()
	s.env.tasks.Add(1)
	go s.readLoop()
}

func (s *stream) readLoop() {
	defer s.env.tasks.Done()
	var err error
	if s.raw != nil && s.tls == nil {
		r := newRawReader(s)
		for more := true; more && err == nil; {
			more, err = r.next()
		}
	} else {
		err = s.readBlocking()
	}
	if s.letGo() {
		s.discard()
		return
	}
	if err != nil {
		s.owner.ended(err)
	}
}

// readBlocking serves connections without raw access and TLS, whose record layer
// reads for itself.
func (s *stream) readBlocking() error {
	var src io.Reader = s.nc
	if s.tls != nil {
		src = s.tls
	}
	buf := make([]byte, 1<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !s.owner.receive(buf[:n]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// discard reads on after a farewell, so that the peer's bytes do not reset the
// connection before it has read the last word. Deadline and amount are bounded.
func (s *stream) discard() {
	buf := readBuffers.Get().(*[readChunk]byte)
	for range 64 {
		if _, err := s.nc.Read(buf[:]); err != nil {
			break
		}
	}
	readBuffers.Put(buf)
	_ = s.nc.Close()
}
