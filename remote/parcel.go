package remote

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// blockSize is how much of an executable is compressed by itself. A host that has some whole
// blocks is sent those that follow.
const blockSize = 1 << 20

// A Parcel is an executable as it travels: compressed block by block as a gzip of several members,
// each block once, when the first host comes to it, and kept for the other hosts.
type Parcel struct {
	path   string
	size   int64
	blocks []func() ([]byte, error)
}

// NewParcel returns the parcel of the file at path, which has size bytes and must not change.
func NewParcel(path string, size int64) *Parcel {
	p := &Parcel{path: path, size: size}
	for at := int64(0); at < size; at += blockSize {
		p.blocks = append(p.blocks, sync.OnceValues(func() ([]byte, error) { return p.pack(at) }))
	}
	return p
}

// pack compresses the block that begins at byte at.
func (p *Parcel) pack(at int64) ([]byte, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	// Level 3 of this package: as fast as reading it costs, and 4 % larger than what takes thrice the time.
	w, err := gzip.NewWriterLevel(&b, 3)
	if err != nil {
		return nil, err
	}
	want := min(blockSize, p.size-at)
	n, err := io.Copy(w, io.NewSectionReader(f, at, want))
	if err == nil && n != want {
		err = fmt.Errorf("%s has become shorter while it was copied", p.path)
	}
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// from returns the compressed blocks from the nth on. plain is told how much of the executable
// what was read stands for.
func (p *Parcel) from(n int, plain func(done int64)) io.Reader {
	return &unpacked{parcel: p, next: n, plain: plain}
}

type unpacked struct {
	parcel *Parcel
	next   int
	left   []byte
	plain  func(done int64)
}

func (u *unpacked) Read(b []byte) (int, error) {
	for len(u.left) == 0 {
		u.plain(min(int64(u.next)*blockSize, u.parcel.size))
		if u.next >= len(u.parcel.blocks) {
			return 0, io.EOF
		}
		var err error
		if u.left, err = u.parcel.blocks[u.next](); err != nil {
			return 0, err
		}
		u.next++
		if u.next < len(u.parcel.blocks) { // while this one is under way
			go u.parcel.blocks[u.next]()
		}
	}
	n := copy(b, u.left)
	u.left = u.left[n:]
	return n, nil
}
