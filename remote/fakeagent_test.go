package remote

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/blake2b"
)

// The tests' agent is this test program under another name: what the sessions copy is a small
// script that runs it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "fake-agent" {
		os.Exit(fakeAgent(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func fakeAgent(args []string) int {
	signal.Ignore(syscall.SIGPIPE) // an agent survives the loss of its connection
	switch args[0] {
	case "run":
		return agentRun(args[1], args[2], args[3:])
	case "attach":
		return agentAttach(args[1])
	case "tunnel":
		stdio := struct {
			io.Reader
			io.WriteCloser
		}{os.Stdin, os.Stdout}
		if err := ServeBridge(context.Background(), args[1], stdio); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	return 64
}

// A speaker prints lines to stdout and to whoever is attached.
type speaker struct {
	mu sync.Mutex
	to []io.Writer
}

func (s *speaker) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.to {
		fmt.Fprintf(w, "agent: "+format+"\n", args...)
	}
}

func (s *speaker) add(w io.Writer) {
	fmt.Fprintf(w, "agent: hello %d\n", os.Getpid())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, w)
}

func agentRun(run, store string, flags []string) int {
	if slices.Contains(flags, "die") {
		fmt.Fprintln(os.Stderr, "cannot \x1b[31mlive")
		return 3
	}
	lock, err := os.OpenFile(filepath.Join(run, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(run, "pid"), fmt.Appendln(nil, os.Getpid()), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	end := make(chan int)
	out := &speaker{}
	out.add(os.Stdout)
	if slices.Contains(flags, "busy") {
		out.say("runs %d", work())
	}
	listen(run, out, store, flags, end)
	go func() {
		commands(os.Stdin, out, store, flags, end)
	}()
	code := <-end
	if slices.Contains(flags, "tidy") {
		os.RemoveAll(run)
	}
	return code
}

// work runs a command as the exec resource does, for ever and deaf to SIGTERM as well, and returns the
// process that the command itself has started.
func work() (pid int) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	cmd := exec.Command("/bin/sh", "-c", `trap "" TERM INT; sleep 1000 >&- 2>&- & echo $!; wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = fmt.Fscan(out, &pid)
	}
	if err != nil {
		panic(err)
	}
	return pid
}

func listen(run string, out *speaker, store string, flags []string, end chan int) {
	os.Remove(filepath.Join(run, "ctl"))
	l, err := net.Listen("unix", filepath.Join(run, "ctl"))
	if err != nil {
		out.say("%v", err)
		return
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			out.add(c)
			go commands(c, out, store, flags, end)
		}
	}()
}

func commands(r io.Reader, out *speaker, store string, flags []string, end chan int) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		switch line := in.Text(); {
		case line == "stop" && slices.Contains(flags, "deaf"):
			out.say("deaf")
		case line == "stop":
			out.say("bye")
			end <- 0
		case line == "ask":
			out.say("store says %s", ask(store))
			if slices.Contains(flags, "final") {
				end <- 2
			}
		default:
			out.say("told %s", line)
		}
	}
}

// ask sends a line to the store, ends its direction, and returns all that comes back.
func ask(store string) string {
	network, addr := "tcp", store
	if path, ok := strings.CutPrefix(store, "unix://"); ok {
		network, addr = "unix", path
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	fmt.Fprintf(c, "from the host")
	c.(interface{ CloseWrite() error }).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func agentAttach(run string) int {
	c, err := net.Dial("unix", filepath.Join(run, "ctl"))
	if err != nil {
		return 69
	}
	go io.Copy(c, os.Stdin)
	bye := false
	in := bufio.NewScanner(c)
	for in.Scan() {
		fmt.Println(in.Text())
		bye = bye || in.Text() == "agent: bye"
	}
	if bye {
		return 0
	}
	return 1
}

// program is the executable that sessions copy: a script, padded to several SFTP packets.
func program(t *testing.T, dir string) Binary { return paddedProgram(t, dir, 200<<10) }

// paddedProgram is a program of size bytes at least.
func paddedProgram(t *testing.T, dir string, size int) Binary {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	line, err := Quote(self)
	must(t, err)
	text := "#!/bin/sh\nexec " + line + " fake-agent \"$@\"\n" + strings.Repeat("# padding\n", size/10)
	path := filepath.Join(dir, "program")
	must(t, os.WriteFile(path, []byte(text), 0o700))
	sum, blake := sha256.Sum256([]byte(text)), blake2b.Sum512([]byte(text))
	return Binary{
		Path: path, SHA256: hex.EncodeToString(sum[:]), BLAKE2b: hex.EncodeToString(blake[:]), Size: int64(len(text)),
		Parcel: NewParcel(path, int64(len(text))),
	}
}

// store answers every connection, once its direction has ended, with what it said.
func store(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				fmt.Fprintf(c, "got %s", b)
			}()
		}
	}()
	return l
}

func text(name, content string) File {
	return File{Name: name, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}}
}
