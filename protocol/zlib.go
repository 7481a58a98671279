package protocol

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// deflater is a compressor and the slice it writes to.
type deflater struct {
	out []byte
	zw  *zlib.Writer
}

// Write appends to out.
func (d *deflater) Write(b []byte) (int, error) {
	d.out = append(d.out, b...)
	return len(b), nil
}

// A compressor is 800 kB, so a few are kept for all connections.
var deflaters = sync.Pool{New: func() any {
	d := new(deflater)
	d.zw = zlib.NewWriter(d)
	return d
}}

// Deflate appends plain in zlib format at the default level: what Java's
// DeflaterOutputStream writes and every MPush SDK reads. dst may not overlap plain.
func Deflate(dst, plain []byte) ([]byte, error) {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out = dst
	d.zw.Reset(d)
	_, err := d.zw.Write(plain)
	if err == nil {
		err = d.zw.Close()
	}
	out := d.out
	d.out = nil
	if err != nil {
		return dst, fmt.Errorf("deflating %d bytes: %w", len(plain), err)
	}
	return out, nil
}

// inflater is a decompressor for both formats and the bytes it reads.
type inflater struct {
	in bytes.Reader
	zr io.ReadCloser // also a zlib.Resetter
	gz *gzip.Reader
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// Inflate appends what data unfolds to. data is zlib, or gzip as the iOS SDKs
// send it; bytes after its end are ignored. More than limit bytes of output is
// [ErrTooLarge], found out before more than limit+1 bytes were produced; damaged
// data is [ErrInflate]. dst's spare capacity may not overlap data.
func Inflate(dst, data []byte, limit int) ([]byte, error) {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in.Reset(data)
	defer f.in.Reset(nil)
	r, err := f.open(data)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrInflate, err)
	}
	return readLimited(dst, r, len(data), max(limit, 0))
}

// open starts the decompressor of the format that data begins with.
func (f *inflater) open(data []byte) (io.Reader, error) {
	if len(data) >= 2 && data[0] == 0x1f && data[1] == 0x8b {
		return f.openGzip()
	}
	var err error
	if f.zr == nil {
		f.zr, err = zlib.NewReader(&f.in)
	} else {
		err = f.zr.(zlib.Resetter).Reset(&f.in, nil)
	}
	return f.zr, err
}

// openGzip reads the first member of a gzip file.
func (f *inflater) openGzip() (io.Reader, error) {
	if f.gz == nil {
		f.gz = new(gzip.Reader)
	}
	if err := f.gz.Reset(&f.in); err != nil {
		return nil, err
	}
	f.gz.Multistream(false)
	return f.gz, nil
}

// readLimited appends all of r. Memory grows with what was read: it starts at
// four times the compressed size and doubles, up to the limit and one byte more.
func readLimited(dst []byte, r io.Reader, compressed, limit int) ([]byte, error) {
	out, start := dst, len(dst)
	for step := max(512, 4*compressed); ; step = len(out) - start {
		if room := limit + 1 - (len(out) - start); cap(out) == len(out) {
			out = slices.Grow(out, max(1, min(step, room)))
		}
		end := min(cap(out), start+limit+1)
		n, err := r.Read(out[len(out):end])
		out = out[:len(out)+n]
		if len(out)-start > limit {
			return dst, fmt.Errorf("inflated body is %w of %d", ErrTooLarge, limit)
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return dst, fmt.Errorf("%w: %w", ErrInflate, err)
		}
	}
}
