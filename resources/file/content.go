package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"spore/engine"
)

// A body is the declared content of a file.
type body interface {
	size() int64
	open() (io.ReadCloser, error)
}

type text string

func (t text) size() int64                  { return int64(len(t)) }
func (t text) open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(t))), nil }

// A copied body is that of another file.
type copied struct {
	path string
	len  int64
}

func (c copied) size() int64                  { return c.len }
func (c copied) open() (io.ReadCloser, error) { return openQuiet(c.path, 0) }

const (
	chunk       = 64 << 10 // read at once, between two looks at the context
	diffable    = 64 << 10 // the longest content that is shown as a diff
	longestDiff = 16 << 10
)

// checkContent reports a content that differs.
func (w want) checkContent(ctx context.Context, fi fs.FileInfo) ([]engine.Change, error) {
	from, to := size(fi.Size()), size(w.body.size())
	if fi.Size() == w.body.size() {
		at, same, err := w.compare(ctx)
		if same || err != nil {
			return nil, err
		}
		to += fmt.Sprintf(", from byte %d on", at+1)
	}
	diff, isText, err := w.diff(ctx, fi)
	if !isText {
		from, to = "binary, "+from, "binary, "+to
	}
	c := w.change("content", from, to)
	c.Diff = diff
	return []engine.Change{c}, err
}

// compare compares the content of w.path with the declared one, and returns where they part.
func (w want) compare(ctx context.Context) (at int64, same bool, err error) {
	have, err := openQuiet(w.path, noFollow)
	if err != nil {
		return 0, false, err
	}
	defer have.Close()
	should, err := w.body.open()
	if err != nil {
		return 0, false, err
	}
	defer should.Close()
	length := int(min(chunk, max(w.body.size(), 1)))
	a, b := make([]byte, length), make([]byte, length)
	for {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		n, errA := io.ReadFull(have, a)
		m, errB := io.ReadFull(should, b)
		if err := errors.Join(unexpected(errA), unexpected(errB)); err != nil {
			return 0, false, err
		}
		if !bytes.Equal(a[:n], b[:m]) {
			return at + parting(a[:n], b[:m]), false, nil
		}
		if at += int64(n); n < len(a) {
			return at, true, nil
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func parting(a, b []byte) int64 {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return int64(i)
}

// diff returns the unified diff from the content of fi, or from nothing, to the declared one, and
// whether both are text. It is empty where the contents are long, and where not everybody may read
// them: neither may everybody who reads the log.
func (w want) diff(ctx context.Context, fi fs.FileInfo) (diff string, isText bool, err error) {
	if w.typ != 0 || w.body == nil || w.private(fi) || w.body.size() > diffable || fi != nil && fi.Size() > diffable {
		return "", true, ctx.Err()
	}
	should, err := read(w.body)
	if err != nil {
		return "", true, err
	}
	var have []byte
	from := "/dev/null"
	if fi != nil {
		from = w.path
		if have, err = read(found(w.path)); err != nil {
			return "", true, err
		}
	}
	if !hasLines(have) || !hasLines(should) {
		return "", false, nil
	}
	return shortenDiff(udiff.Unified(from, w.path, string(have), string(should))), true, nil
}

// private reports whether not everybody may read the file, as it is or as it is declared.
func (w want) private(fi fs.FileInfo) bool {
	const others = 0o004
	mode := w.fresh
	if fi != nil {
		mode = fi.Mode()
	}
	return mode&others == 0 || w.mode != nil && *w.mode&others == 0
}

// A found body is what is at a path now.
type found string

func (f found) size() int64                  { return 0 }
func (f found) open() (io.ReadCloser, error) { return openQuiet(string(f), noFollow) }

// read reads a content that was short a moment ago.
func read(b body) ([]byte, error) {
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, diffable))
}

func hasLines(content []byte) bool {
	return utf8.Valid(content) && !bytes.ContainsRune(content, 0)
}

func shortenDiff(diff string) string {
	if len(diff) <= longestDiff {
		return diff
	}
	cut := strings.LastIndexByte(diff[:longestDiff], '\n') + 1
	return fmt.Sprintf("%s(%d more lines)\n", diff[:cut], strings.Count(diff[cut:], "\n"))
}

func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// openQuiet opens a regular file or a directory for reading, without leaving a trace.
func openQuiet(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noAtime|nonBlock|flags, 0)
	if errors.Is(err, fs.ErrPermission) && noAtime != 0 { // only the owner may ask for that
		f, err = os.OpenFile(path, os.O_RDONLY|nonBlock|flags, 0)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		err = fmt.Errorf("%s is neither a file nor a directory", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
