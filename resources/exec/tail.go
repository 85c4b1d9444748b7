package exec

import (
	"bytes"
	"strings"
	"sync"
)

const (
	keepBytes = 64 << 10 // of a command's output
	keepLines = 20       // of it in an error
)

// tail keeps the end of what is written to it. The zero tail is ready.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut bool // something was dropped
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	// Twice as much is let in before it is cut, so that small writes do not each move it all.
	if len(t.buf) > 2*keepBytes {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-keepBytes:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the end of what was written, at most keepBytes, with a word on what is missing.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept, cut := t.buf, t.cut
	if len(kept) > keepBytes {
		kept, cut = kept[len(kept)-keepBytes:], true
	}
	text := strings.TrimRight(strings.ToValidUTF8(string(kept), "�"), "\r\n")
	if cut {
		return "…" + text
	}
	return text
}

// lastLines returns the end of what was written, for an error.
func (t *tail) lastLines() string {
	lines := strings.Split(t.String(), "\n")
	if len(lines) > keepLines {
		lines = append([]string{"…"}, lines[len(lines)-keepLines:]...)
	}
	return strings.Join(lines, "\n")
}

// lines calls ended when a line that is written to it ends, once for all that end together.
type lines struct {
	ended func()
}

func (l lines) Write(p []byte) (int, error) {
	if bytes.IndexByte(p, '\n') >= 0 {
		l.ended()
	}
	return len(p), nil
}
