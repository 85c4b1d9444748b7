package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/internal/sshtest"
)

func (r *rig) connect() *Conn {
	r.t.Helper()
	c, err := Connect(context.Background(), r.target, r.dialer, ConnOptions{
		Prefix: r.prefix, Executable: func(goos, goarch string) (Binary, error) { return r.binary, nil },
	})
	must(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	return c
}

// Whatever login scripts print, an answer is the program's own.
func TestConnRun(t *testing.T) {
	for _, greeting := range []string{"", "welcome, no line end", "two\nlines\n"} {
		c := newRig(t, sshtest.Options{Greeting: greeting}).connect()
		out, err := c.Run(context.Background(), strings.NewReader("said"), "/bin/sh", "-c", `echo "$0: $(cat)"`, "a 'word'")
		if err != nil || string(out) != "a 'word': said\n" {
			t.Errorf("greeting %q: %q, %v", greeting, out, err)
		}
		var failed *ProgramError
		_, err = c.Run(context.Background(), nil, "/bin/sh", "-c", "echo why >&2; exit 7")
		if !errors.As(err, &failed) || failed.Code != 7 || strings.Join(failed.Stderr, "|") != "why" {
			t.Errorf("greeting %q: %#v", greeting, err)
		}
		_, err = c.Run(context.Background(), nil, "/no/such/program")
		if !errors.As(err, &failed) || failed.Code != 127 {
			t.Errorf("greeting %q: no program: %v", greeting, err)
		}
	}
}

func TestConnRunCancelled(t *testing.T) {
	c := newRig(t, sshtest.Options{}).connect()
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	s, err := c.Stream(context.Background(), "/bin/cat")
	must(t, err)
	go func() {
		_, _ = s.Write([]byte("x"))
		_, _ = io.ReadFull(s, make([]byte, 1))
		cancel(enough)
	}()
	if _, err := c.Run(ctx, nil, "/bin/sh", "-c", "exec sleep 1000"); !errors.Is(err, enough) {
		t.Errorf("cancelled: %v", err)
	}
	s.Close()
}

func TestConnStream(t *testing.T) {
	c := newRig(t, sshtest.Options{Greeting: "hello\n", MaxSessions: 2}).connect()
	s, err := c.Stream(context.Background(), "/bin/cat")
	must(t, err)
	said := strings.Repeat("0123456789abcdef", 1<<14)
	go func() { _, _ = io.WriteString(s, said) }()
	heard := make([]byte, len(said))
	_, err = io.ReadFull(s, heard)
	must(t, err)
	if string(heard) != said {
		t.Error("what came back is not what was sent")
	}
	if out, err := c.Run(context.Background(), nil, "/bin/echo", "beside it"); err != nil || string(out) != "beside it\n" {
		t.Errorf("beside a stream: %q, %v", out, err)
	}
	must(t, s.Close())
	if _, err := s.Read(heard); err == nil {
		t.Error("a closed stream was read")
	}
	if s, err = c.Stream(context.Background(), "/bin/sh", "-c", "echo gone >&2; exit 7"); err == nil {
		_, err = io.ReadAll(s)
		s.Close()
	}
	var failed *ProgramError
	if !errors.As(err, &failed) || failed.Code != 7 || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a program that ends: %v", err)
	}
}

// TestConnStreamClosed closes a stream whose program does not care: who reads from it hears at once.
func TestConnStreamClosed(t *testing.T) {
	c := newRig(t, sshtest.Options{}).connect()
	s, err := c.Stream(context.Background(), "/bin/sh", "-c", "echo begun; exec sleep 1000")
	must(t, err)
	_, err = io.ReadFull(s, make([]byte, len("begun\n")))
	must(t, err)
	read := make(chan error)
	go func() {
		_, err := s.Read(make([]byte, 1))
		read <- err
	}()
	must(t, s.Close())
	if err := <-read; err == nil {
		t.Error("a closed stream was read")
	}
}

// TestConnStreamClosedAmidWrites closes a stream that somebody writes to.
func TestConnStreamClosedAmidWrites(t *testing.T) {
	c := newRig(t, sshtest.Options{}).connect()
	s, err := c.Stream(context.Background(), "/bin/sh", "-c", "exec cat >/dev/null")
	must(t, err)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, err := io.WriteString(s, "some")
		for close(begun); err == nil; {
			_, err = io.WriteString(s, "more")
		}
	}()
	<-begun
	must(t, s.Close())
	<-ended
}

func TestConnInstall(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	c := r.connect()
	for range 2 {
		path, digest, err := c.Install(context.Background())
		must(t, err)
		want := filepath.Join(r.prefix, "cache", r.binary.SHA256, "spore")
		if path != want || digest != r.binary.SHA256 {
			t.Fatalf("installed %s as %s", digest, path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(r.prefix, "run-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestSessionExec(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	j := r.start(r.options())
	out, err := j.Exec(context.Background(), func() io.Reader { return strings.NewReader("in") },
		func(p Paths) []string { return []string{"/bin/sh", "-c", `cat; echo; ls "$0"`, p.Run} })
	if err != nil || !strings.HasPrefix(string(out), "in\n") || !strings.Contains(string(out), "\ngraph.yaml\n") {
		t.Errorf("exec: %q, %v", out, err)
	}
	s, err := j.Session.Stream(context.Background(), func(p Paths) []string { return []string{"/bin/cat"} })
	must(t, err)
	_, err = io.WriteString(s, "there and back")
	must(t, err)
	back := make([]byte, 14)
	if _, err = io.ReadFull(s, back); err != nil || string(back) != "there and back" {
		t.Errorf("stream: %q, %v", back, err)
	}
	s.Close()
	j.Stop(context.Background())
}
