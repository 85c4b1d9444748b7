package exec

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = time.Minute

// A lifeline tells when processes have begun and when the last of them is gone: they hold a named
// pipe open, which ends with them.
type lifeline struct {
	t    *testing.T
	path string
	both *os.File // open for both, so that reading waits for the first writer
	in   *bufio.Reader
}

func newLifeline(t *testing.T) *lifeline {
	t.Helper()
	path := filepath.Join(t.TempDir(), "life")
	if err := syscall.Mkfifo(path, 0o622); err != nil {
		t.Fatal(err)
	}
	both, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { both.Close() })
	return &lifeline{t: t, path: path, both: both, in: bufio.NewReader(both)}
}

// says waits for a line.
func (l *lifeline) says() string {
	l.t.Helper()
	if err := l.both.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	line, err := l.in.ReadString('\n')
	if err != nil {
		l.t.Fatal("waiting for a line:", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// gone waits until nobody holds the pipe any more.
func (l *lifeline) gone() {
	l.t.Helper()
	end, err := os.OpenFile(l.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer end.Close()
	if err := errors.Join(l.both.Close(), end.SetReadDeadline(time.Now().Add(patience))); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, end); err != nil {
		l.t.Error("a process outlived what started it:", err)
	}
}
