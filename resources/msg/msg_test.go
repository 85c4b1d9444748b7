package msg

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/enginetest"
)

func TestLaws(t *testing.T) {
	enginetest.TestKind(t, func(*testing.T) enginetest.Fixture {
		return enginetest.Fixture{
			Kind: Kind(), Name: "hello", Spec: Spec{Priority: "Notice", Fields: map[string]string{"unit": "web"}},
		}
	})
}

// listen receives datagrams at a socket of its own.
func listen(t *testing.T) (path string, receive func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		t.Helper()
		buf := make([]byte, 1<<16)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

// logger returns a log without times, and what was logged.
func logger() (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: noTime})), &out
}

func converge(t *testing.T, r engine.Resource) error {
	t.Helper()
	changes, err := r.Check(t.Context())
	if err == nil && len(changes) > 0 {
		err = r.Apply(t.Context(), changes)
	}
	return err
}

func TestLevels(t *testing.T) {
	for priority, level := range map[string]string{
		"": "INFO", "emerg": "ERROR", "Alert": "ERROR", "crit": "ERROR", "err": "ERROR",
		"Warning": "WARN", "notice": "INFO", "Info": "INFO", "debug": "DEBUG",
	} {
		log, out := logger()
		spec := Spec{Body: "b", Priority: priority, Fields: map[string]string{"z": "1", "a": "x y"}}
		if err := converge(t, open(spec, log, "", "")); err != nil {
			t.Fatal(err)
		}
		if want := "level=" + level + ` msg=b a="x y" z=1` + "\n"; out.String() != want {
			t.Errorf("priority %q: got %q, want %q", priority, out, want)
		}
	}
}

func TestLogsOnceAndAtEveryRefresh(t *testing.T) {
	log, out := logger()
	r := open(Spec{Body: "hello"}, log, "", "")
	for i, refresh := range []bool{false, false, true, false} {
		if refresh {
			r.Refresh()
		}
		if err := converge(t, r); err != nil {
			t.Fatal(err)
		}
		want := 1 + i/2
		if got := strings.Count(out.String(), "hello"); got != want {
			t.Errorf("run %d: logged %d times, want %d", i, got, want)
		}
	}
}

func TestJournal(t *testing.T) {
	socket, receive := listen(t)
	log, _ := logger()
	spec := Spec{Body: "two\nlines", Priority: "err", Fields: map[string]string{"unit": "web"}, Journal: true}
	if err := converge(t, open(spec, log, socket, "")); err != nil {
		t.Fatal(err)
	}
	want := "UNIT=web\nMESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\nPRIORITY=3\nSYSLOG_IDENTIFIER=spore\n"
	if got := receive(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSyslog(t *testing.T) {
	socket, receive := listen(t)
	log, _ := logger()
	spec := Spec{Body: "two\nlines", Priority: "warning", Fields: map[string]string{"unit": "web"}, Syslog: true}
	if err := converge(t, open(spec, log, "", socket)); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^<12>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d spore\[\d+\]: two lines unit="web"$`)
	if got := receive(); !want.MatchString(got) {
		t.Errorf("got %q, want %s", got, want)
	}
}

func TestMissingSocketIsNamedAndTheRestNotRepeated(t *testing.T) {
	log, out := logger()
	journal := filepath.Join(t.TempDir(), "none")
	syslog, receive := listen(t)
	r := open(Spec{Body: "hello", Journal: true, Syslog: true}, log, journal, syslog)
	err := converge(t, r)
	if want := "write to the journal: there is no " + journal + " on this host"; err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: journal, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := converge(t, r); err != nil {
		t.Fatal(err)
	}
	receive()
	if got := strings.Count(out.String(), "hello"); got != 1 {
		t.Errorf("logged %d times, want once: %s", got, out)
	}
}

func TestTooLongForTheJournal(t *testing.T) {
	socket, _ := listen(t)
	log, _ := logger()
	err := converge(t, open(Spec{Body: strings.Repeat("x", 1<<20), Journal: true}, log, socket, ""))
	if err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}

func TestStuckLogEndsWithContext(t *testing.T) {
	socket, _ := listen(t)
	fill(t, socket)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, "syslog", socket, []byte("entry")) }()
	select {
	case err := <-sent:
		if err == nil {
			t.Error("sent, though the queue is full")
		}
	case <-time.After(time.Minute):
		t.Error("send hangs after its context was done")
	}
}

// fill writes to the socket, which nobody reads, until its queue is full.
func fill(t *testing.T, socket string) {
	t.Helper()
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for full := error(nil); full == nil; {
		err := raw.Write(func(fd uintptr) bool {
			_, full = syscall.Write(int(fd), []byte("filler"))
			return true // do not wait for room
		})
		if err != nil || full != nil && !errors.Is(full, syscall.EAGAIN) {
			t.Fatal(err, full)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field string
		spec  Spec
	}{
		{"priority", Spec{Priority: "loud"}},
		{"fields", Spec{Fields: map[string]string{"_hidden": ""}}},
		{"fields", Spec{Fields: map[string]string{"": ""}}},
		{"fields", Spec{Fields: map[string]string{"a=b": ""}}},
		{"fields", Spec{Fields: map[string]string{strings.Repeat("x", 65): ""}}},
	} {
		field, ok := errors.AsType[*engine.FieldError](c.spec.Validate())
		if !ok || field.Field != c.field {
			t.Errorf("%+v: got %v, want a mistake in %s", c.spec, field, c.field)
		}
	}
}
