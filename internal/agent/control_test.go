package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spore/internal/view"
)

const patience = time.Minute

// A stage is a control socket with its journal.
type stage struct {
	*control
	dir     string
	stopped chan struct{}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{dir: shortDir(t), stopped: make(chan struct{}, 1)}
	var err error
	s.control, err = listenControl(t.Context(), s.dir, newJournal(), orders{
		stop: func() { s.stopped <- struct{}{} }, yield: func() bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.listener.Close() })
	return s
}

// ends makes the agent end with code.
func (s *stage) ends(code int) {
	s.journal.close(view.Record{Type: view.End, Exit: &code}, patience)
}

func TestAttachRelaysToTheEnd(t *testing.T) {
	s := newStage(t)
	s.journal.Emit(numbered(1))
	s.journal.Emit(numbered(2))
	var out bytes.Buffer
	in, stdin := io.Pipe()
	defer stdin.Close()
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := Attach(t.Context(), s.dir, 1, in, &out, "v1")
		ended <- end{code, err}
	}()
	if _, err := io.WriteString(stdin, StopLine+"\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.stopped:
	case <-time.After(patience):
		t.Fatal("the command did not get there")
	}
	s.ends(7)
	if e := <-ended; e.err != nil || e.code != 7 {
		t.Fatalf("ended with %d (%v), want 7", e.code, e.err)
	}
	var types []view.Type
	lines := bufio.NewScanner(&out)
	for lines.Scan() {
		var r view.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(types) == 1 && (r.Seq != 2 || r.Message != "2") {
			t.Errorf("the first record is %d %q, want that after 1", r.Seq, r.Message)
		}
		types = append(types, r.Type)
	}
	if len(types) != 3 || types[0] != view.Start || types[2] != view.End {
		t.Errorf("relayed %v, want the beginning, a record, the end", types)
	}
}

func TestAttachWhereNobodyIs(t *testing.T) {
	dir := shortDir(t)
	if _, err := Attach(t.Context(), dir, 0, strings.NewReader(""), io.Discard, ""); !errors.Is(err, ErrNoAgent) {
		t.Errorf("got %v, want %v", err, ErrNoAgent)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketFile)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as a killed agent leaves it
	if _, err := Attach(t.Context(), dir, 0, strings.NewReader(""), io.Discard, ""); !errors.Is(err, ErrNoAgent) {
		t.Errorf("of a dead one: got %v, want %v", err, ErrNoAgent)
	}
	c, err := listenControl(t.Context(), dir, newJournal(), orders{})
	if err != nil {
		t.Fatalf("the socket of a dead one is in the way: %v", err)
	}
	c.listener.Close()
}

// An agent that is killed says nothing: that is no end that anyone may mistake for an orderly one.
func TestAttachToOneThatDies(t *testing.T) {
	dir := shortDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = bufio.NewReader(conn).ReadString('\n')
			conn.Close()
		}
	}()
	_, err = Attach(t.Context(), dir, 0, strings.NewReader(""), io.Discard, "")
	if err == nil || errors.Is(err, ErrNoAgent) || !strings.Contains(err.Error(), "it ended without saying so") {
		t.Errorf("got %v", err)
	}
}

func TestAttachEndsWithContext(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	begun, writing := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := Attach(ctx, s.dir, 0, strings.NewReader(""), writing, "")
		ended <- err
	}()
	if _, err := bufio.NewReader(begun).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended as though the agent had")
		}
	case <-time.After(patience):
		t.Error("it did not end")
	}
	s.ends(0)
}

func TestControlSocketIsPrivate(t *testing.T) {
	s := newStage(t)
	info, err := os.Stat(filepath.Join(s.dir, socketFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v (%v), want 0600", info.Mode(), err)
	}
}

// What is no command ends the connection, and nothing else.
func TestControlRefusesNonsense(t *testing.T) {
	s := newStage(t)
	conn, err := net.Dial("unix", filepath.Join(s.dir, socketFile))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, `{"command":"dance"}`+"\nnonsense\n"+StopLine+"\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes (%v), want the end", n, err)
	}
	select {
	case <-s.stopped:
		t.Error("a command behind nonsense was obeyed")
	default:
	}
}

func TestYieldIsAnswered(t *testing.T) {
	s := newStage(t)
	if askToYield(t.Context(), s.dir) {
		t.Error("an agent that has its initiator yields")
	}
	if askToYield(t.Context(), shortDir(t)) {
		t.Error("nobody yields")
	}
}

// The path of a run directory may be longer than that of a socket may be.
func TestControlInALongPath(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("long", 40))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	c, err := listenControl(t.Context(), dir, newJournal(), orders{yield: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.listener.Close()
	if !askToYield(t.Context(), dir) {
		t.Error("nobody answers")
	}
}
