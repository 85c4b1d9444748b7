package dial_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"spore/remote/dial"
)

// pty opens a terminal: what the person's side types and sees, and the program's side.
func pty(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	raw, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if cerr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var tio *unix.Termios
	if cerr := raw.Control(func(fd uintptr) { tio, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return tio.Lflag&unix.ECHO != 0
}

// see reads from the person's side until text has been shown, and returns all that was.
func see(t *testing.T, person *os.File, text string) string {
	t.Helper()
	var seen strings.Builder
	buf := make([]byte, 256)
	for !strings.Contains(seen.String(), text) {
		n, err := person.Read(buf)
		if err != nil {
			t.Fatalf("read terminal: %v after %q", err, seen.String())
		}
		seen.Write(buf[:n])
	}
	return seen.String()
}

func typeLine(t *testing.T, person *os.File, text string) {
	t.Helper()
	if _, err := person.WriteString(text + "\n"); err != nil {
		t.Fatal(err)
	}
}

func TestTerminal(t *testing.T) {
	person, program := pty(t)
	terminal := dial.NewTerminalOn(program, program)
	defer terminal.Close()
	type result struct {
		text string
		err  error
	}
	ask := func(ctx context.Context, q dial.Question) <-chan result {
		ch := make(chan result, 1)
		go func() {
			text, err := terminal.Prompt(ctx, q)
			ch <- result{text, err}
		}()
		return ch
	}

	hidden := ask(t.Context(), dial.Question{Host: "web1", Text: "passphrase of \x1b[2Jk"})
	if got := see(t, person, "k: "); got != "web1: passphrase of [2Jk: " {
		t.Errorf("asked %q", got)
	}
	if echoes(t, program) {
		t.Error("a secret would be shown as it is typed")
	}
	typeLine(t, person, "s3cret word")
	if r := <-hidden; r.err != nil || r.text != "s3cret word" {
		t.Errorf("answer %q, %v", r.text, r.err)
	}
	if !echoes(t, program) {
		t.Error("typing stays hidden")
	}

	shown := ask(t.Context(), dial.Question{Host: "web2", Text: "name", Echo: true})
	if got := see(t, person, "name: "); strings.Contains(got, "s3cret") {
		t.Errorf("the secret was shown: %q", got)
	}
	typeLine(t, person, "x")
	if r := <-shown; r.err != nil || r.text != "x" {
		t.Errorf("answer %q, %v", r.text, r.err)
	}

	// A question withdrawn restores the terminal, and what follows gets its own answer.
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := ask(ctx, dial.Question{Host: "web3", Text: "password"})
	see(t, person, "password: ")
	cancel()
	if r := <-withdrawn; !errors.Is(r.err, context.Canceled) {
		t.Errorf("answer %q, %v", r.text, r.err)
	}
	if !echoes(t, program) {
		t.Error("typing stays hidden after a question was withdrawn")
	}
	next := ask(t.Context(), dial.Question{Host: "web4", Text: "password"})
	see(t, person, "web4: password: ")
	typeLine(t, person, "later")
	if r := <-next; r.err != nil || r.text != "later" {
		t.Errorf("answer %q, %v", r.text, r.err)
	}
}

func TestTerminalEnds(t *testing.T) {
	person, program := pty(t)
	terminal := dial.NewTerminalOn(program, program)
	defer terminal.Close()
	done := make(chan error, 1)
	go func() {
		_, err := terminal.Prompt(t.Context(), dial.Question{Host: "h", Text: "q"})
		done <- err
	}()
	see(t, person, "q: ")
	if _, err := person.Write([]byte{4}); err != nil { // ^D
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("the end of the input was taken for an answer")
	}
}
