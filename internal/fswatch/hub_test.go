package fswatch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
)

func openHub(t *testing.T) *Hub {
	h := New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { h.Close() })
	return h
}

func TestSharedDirectory(t *testing.T) {
	h, dir := openHub(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var ready, ended sync.WaitGroup
	for i := range 1000 {
		ready.Add(1)
		once := sync.OnceFunc(ready.Done)
		ended.Go(func() {
			if err := h.Watch(ctx, filepath.Join(dir, fmt.Sprint(i)), Options{}, once); err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	if got, want := len(h.fs.WatchList()), 1+len(split(dir)); got != want {
		t.Errorf("%d directories are watched, want the %d on the way to %s", got, want, dir)
	}
	cancel()
	ended.Wait()
	if left := h.fs.WatchList(); len(left)+len(h.byPath)+len(h.byID)+len(h.watches) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// An event is told to those it concerns and to nobody else.
func TestHandle(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"d/sub/deep", "e"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path string
		op   fsnotify.Op
		told string // of the watches below
	}{
		{"d/f", fsnotify.Write, "d/f d/..."},
		{"d/f", fsnotify.Chmod, "d/f d/..."},
		{"d/f", fsnotify.Create, "d/f d/..."},
		{"d/g", fsnotify.Write, "d/..."},
		{"d/sub/deep/x", fsnotify.Write, "d/..."},
		{"e/f", fsnotify.Write, ""},
		{"e", fsnotify.Chmod, "e"},
		{"d", fsnotify.Remove, "d/f d/..."},
		{"f", fsnotify.Write, ""},
	}
	for _, test := range tests {
		t.Run(test.op.String()+" "+test.path, func(t *testing.T) {
			h := openHub(t)
			watches := []*watch{
				newWatch(filepath.Join(dir, "d/f"), false),
				newWatch(filepath.Join(dir, "d"), true),
				newWatch(filepath.Join(dir, "e"), false),
			}
			for _, w := range watches {
				if err := h.add(w); err != nil {
					t.Fatal(err)
				}
			}
			h.handle(filepath.Join(dir, test.path), test.op)
			var told []string
			for i, name := range []string{"d/f", "d/...", "e"} {
				if len(watches[i].dirty) > 0 {
					told = append(told, name)
				}
			}
			if got := strings.Join(told, " "); got != test.told {
				t.Errorf("told %q, want %q", got, test.told)
			}
		})
	}
}

// When the kernel's queue has overflowed, nothing that was known before it is relied on.
func TestOverflow(t *testing.T) {
	h, dir := openHub(t), t.TempDir()
	file := filepath.Join(dir, "a", "f")
	write := func(content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("before")
	saw := make(chan string)
	go h.Watch(t.Context(), file, Options{}, func() {
		content, _ := os.ReadFile(file)
		select {
		case saw <- string(content):
		case <-t.Context().Done():
		}
	})
	<-saw
	h.mu.Lock() // no event is read any longer
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 16384 { // two events each
		for _, err := range []error{os.Rename(noise, noise+"2"), os.Rename(noise+"2", noise)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	write("after") // most likely in a directory with the inode number of the one before
	h.mu.Unlock()
	for got := range saw {
		if got == "after" {
			break
		}
	}
	write("still watched")
	for got := range saw {
		if got == "still watched" {
			break
		}
	}
}

func TestExplain(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "fs.inotify.max_user_watches",
		syscall.EMFILE: "fs.inotify.max_user_instances",
		os.ErrInvalid:  os.ErrInvalid.Error(),
	} {
		if got := explain(err).Error(); !strings.Contains(got, want) {
			t.Errorf("explain(%v) = %s", err, got)
		}
	}
}
