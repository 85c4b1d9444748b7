package mounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const table = "/proc/self/mountinfo"

// List returns the directories and files that something is mounted on.
func List() ([]string, error) {
	lines, err := read()
	if err != nil {
		return nil, err
	}
	points := make([]string, 0, len(lines))
	for _, point := range lines {
		points = append(points, point)
	}
	return points, nil
}

// A Watcher tells of every mount and unmount after it was made.
type Watcher struct {
	table  int // a bare descriptor: Go's own poller would take the news away
	before map[string]string
}

// NewWatcher returns a Watcher; Watch gives back what it holds.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.Open(table, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("watch mounts: open %s: %w", table, err)
	}
	before, err := read()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Watcher{fd, before}, nil
}

// Watch calls changed with the points at which something was mounted or unmounted, whenever that
// happens; with none if it cannot tell where. It returns nil when ctx is done.
func (w *Watcher) Watch(ctx context.Context, changed func(points []string)) error {
	defer unix.Close(w.table)
	done, cancel, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("watch mounts: %w", err)
	}
	defer done.Close()
	stop := context.AfterFunc(ctx, func() { cancel.Close() })
	defer func() {
		if stop() {
			cancel.Close()
		}
	}()
	for {
		fds := []unix.PollFd{
			{Fd: int32(w.table), Events: unix.POLLPRI},
			{Fd: int32(done.Fd()), Events: unix.POLLIN},
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch mounts: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if fds[0].Revents == 0 {
			continue
		}
		after, err := read()
		if err != nil {
			return err
		}
		changed(difference(w.before, after))
		w.before = after
	}
}

// read returns the lines of the mount table, each with its mount point.
func read() (map[string]string, error) {
	text, err := os.ReadFile(table)
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	lines := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			lines[line] = unescape(fields[4])
		}
	}
	return lines, nil
}

func difference(before, after map[string]string) []string {
	var points []string
	for line, point := range before {
		if _, kept := after[line]; !kept {
			points = append(points, point)
		}
	}
	for line, point := range after {
		if _, known := before[line]; !known {
			points = append(points, point)
		}
	}
	return points
}

// unescape undoes the kernel's writing of space, tab, newline and backslash as \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
