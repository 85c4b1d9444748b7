package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// shortDir returns a new directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// runDir makes a run directory in base and returns who would hold it.
func runDir(t *testing.T, base, id string) Holder {
	t.Helper()
	dir := filepath.Join(base, "run-"+id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return Holder{PID: os.Getpid(), Dir: dir, Owner: "ann@laptop", Since: since}
}

func hold(t *testing.T, base string, h Holder) *lock {
	t.Helper()
	l, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	own, err := takeOwn(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.release(); l.release() })
	return l
}

func TestHostIsHeldByOne(t *testing.T) {
	base := shortDir(t)
	l := hold(t, base, runDir(t, base, "1"))
	synctest.Test(t, func(t *testing.T) {
		_, err := takeHost(t.Context(), base, newcomer)
		var busy *BusyError
		if !errors.As(err, &busy) {
			t.Fatalf("got %v, want that it is busy", err)
		}
		want := "another run manages this host: started by ann@laptop at 2026-01-02T03:04:05Z (pid "
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	})
	l.release()
	again, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
	if left, _ := filepath.Glob(filepath.Join(base, "*lock*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Who holds the host may not have said so yet, or may be giving it up.
func TestHolderUnknown(t *testing.T) {
	base := shortDir(t)
	l, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := takeHost(t.Context(), base, newcomer)
		if want := "another run manages this host; end that one first, or wait for it"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
		if took := time.Since(start); took < 5*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

// What a dead agent has left says nothing, though its number may be another's by now.
func TestStaleHolder(t *testing.T) {
	base := shortDir(t)
	own, err := takeOwn(runDir(t, base, "dead"))
	if err != nil {
		t.Fatal(err)
	}
	own.release()
	l, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	l.release()
}

func TestHolderIsTheLivingOne(t *testing.T) {
	base := shortDir(t)
	dead := runDir(t, base, "1")
	dead.PID = 1 << 30
	lying := runDir(t, base, "2")
	lying.Dir = "/elsewhere"
	for dir, h := range map[string]Holder{dead.Dir: dead, filepath.Join(base, "run-2"): lying} {
		text := `{"pid":` + itoa(h.PID) + `,"dir":"` + h.Dir + `"}`
		if err := os.WriteFile(filepath.Join(dir, lockFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := runDir(t, base, "3")
	own, err := takeOwn(want)
	if err != nil {
		t.Fatal(err)
	}
	defer own.release()
	if got := readHolder(base); got != want {
		t.Errorf("the holder is %+v, want %+v", got, want)
	}
}

func TestOrphanMakesRoom(t *testing.T) {
	base := shortDir(t)
	h := runDir(t, base, "1")
	l := hold(t, base, h)
	var asked atomic.Int32
	c, err := listenControl(t.Context(), h.Dir, newJournal(), orders{yield: func() bool {
		asked.Add(1)
		l.release()
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.listener.Close()
	next, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	next.release()
	if asked.Load() != 1 {
		t.Errorf("the orphan was asked %d times, want once", asked.Load())
	}
}

func TestLockRefusesWhatIsForeign(t *testing.T) {
	base := shortDir(t)
	h := runDir(t, base, "1")
	elsewhere := filepath.Join(base, "elsewhere")
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(h.Dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	if l, err := takeOwn(h); err == nil {
		l.release()
		t.Error("a symbolic link was taken for the lock")
	}
	link := filepath.Join(base, "link")
	if err := os.Symlink(h.Dir, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, elsewhere, filepath.Join(base, "missing")} {
		if l, err := takeHost(t.Context(), path, newcomer); err == nil {
			l.release()
			t.Errorf("%s was locked", path)
		}
	}
}

func TestTakeHostEndsWithContext(t *testing.T) {
	base := shortDir(t)
	l, err := takeHost(t.Context(), base, newcomer)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := takeHost(ctx, base, newcomer); !errors.As(err, new(*BusyError)) {
		t.Errorf("got %v, want that it is busy", err)
	}
}
