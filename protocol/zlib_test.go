package protocol

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestInflateJava(t *testing.T) {
	for i, v := range loadCodec(t).Zlib {
		plain := unhex(t, v.PlainHex)
		if v.Plain.Chars > 0 {
			plain = []byte(v.Plain.String())
		}
		got, err := Inflate([]byte("x"), unhex(t, v.ZlibHex), len(plain))
		if err != nil || !bytes.Equal(got[1:], plain) {
			t.Errorf("%d: %d bytes, err %v", i, len(got), err)
		}
		deflated, err := Deflate([]byte("x"), plain)
		if err != nil || !bytes.HasPrefix(deflated, []byte("x\x78\x9c")) {
			t.Fatalf("%d: not the header Java writes: % x, err %v", i, deflated[:3], err)
		}
		if got, err := Inflate(nil, deflated[1:], len(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d: round trip: %d bytes, err %v", i, len(got), err)
		}
	}
}

// TestInflateGzip: Java refuses what the iOS SDKs send; we do not.
func TestInflateGzip(t *testing.T) {
	plain := []byte(strings.Repeat("from an iPhone ", 1000))
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	zw.Write(plain)
	zw.Close()
	for range 2 { // the second time with a used reader
		if got, err := Inflate(nil, b.Bytes(), 1<<20); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes, err %v", len(got), err)
		}
	}
	if _, err := Inflate(nil, b.Bytes()[:b.Len()-1], 1<<20); !errors.Is(err, ErrInflate) {
		t.Errorf("cut short: %v", err)
	}
	if got, err := Inflate(nil, append(b.Bytes(), "trailing"...), 1<<20); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("trailing bytes: %d bytes, err %v", len(got), err)
	}
}

func TestInflateIsBounded(t *testing.T) {
	bomb, err := Deflate(nil, make([]byte, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	const limit = 10 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := Inflate([]byte("kept"), bomb, limit)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrTooLarge) || string(got) != "kept" {
		t.Errorf("bomb: dst is %q, err %v", got, err)
	}
	// The decompressor itself takes some 45 kB when it is new.
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10 {
		t.Errorf("a bomb of %d bytes took %d bytes of memory", len(bomb), took)
	}
	for _, n := range []int{0, 1, 511, 512, 513, limit} {
		deflated, err := Deflate(nil, make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Inflate(nil, deflated, n); err != nil || len(got) != n {
			t.Errorf("%d bytes with a limit of %d: %d bytes, err %v", n, n, len(got), err)
		}
		if _, err := Inflate(nil, deflated, n-1); n > 0 && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes with a limit of %d: %v", n, n-1, err)
		}
	}
	if _, err := Inflate(nil, bomb, -1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("negative limit: %v", err)
	}
}

func TestInflateRefusesDamage(t *testing.T) {
	plain := make([]byte, 3000)
	rand.Read(plain)
	good, err := Deflate(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty": nil, "one byte": good[:1], "header only": good[:2], "cut": good[:len(good)/2],
		"without checksum": good[:len(good)-4], "text": []byte("hello"), "gzip magic only": {0x1f, 0x8b},
	} {
		if _, err := Inflate(nil, data, 1<<20); !errors.Is(err, ErrInflate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := Inflate(nil, good, 1<<20); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("after all these a good one: %v", err)
	}
}

// TestZlibConcurrently: the pooled compressors do not mix connections up.
func TestZlibConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			plain := bytes.Repeat([]byte{byte(i), byte(i * i)}, 700*(i+1))
			for range 20 {
				deflated, err := Deflate(nil, plain)
				if err != nil {
					t.Error(err)
				}
				if got, err := Inflate(nil, deflated, len(plain)); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes came back as %d, err %v", len(plain), len(got), err)
				}
			}
		})
	}
	wg.Wait()
}
