package dial

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A proxyConn is the input and output of a ProxyCommand.
type proxyConn struct {
	cmd    *exec.Cmd
	in     *os.File // what the command reads
	out    *os.File // what it writes
	said   *tail
	kill   func()
	exited chan struct{}
}

// startProxy runs command by the user's shell, as OpenSSH does, in a process group of its own:
// what it starts ends with the connection, and ^C at the terminal is ours to handle.
func startProxy(command, shell string) (net.Conn, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		_, _ = theirIn.Close(), in.Close()
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	p := &proxyConn{in: in, out: out, said: new(tail), exited: make(chan struct{})}
	p.cmd = exec.Command(cmp.Or(shell, "/bin/sh"), "-c", "exec "+command) // #nosec G204 -- the ProxyCommand of ssh_config; what is put into it was checked
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // for a grandchild that holds stderr
	err = p.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, fmt.Errorf("start proxy command: %w", err)
	}
	p.kill = sync.OnceFunc(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	go func() {
		_ = p.cmd.Wait() // the stream's end tells as much
		close(p.exited)
	}()
	return p, nil
}

// explain adds to err what the command said before it ended.
func (p *proxyConn) explain(err error) error {
	_ = p.Close()
	<-p.exited
	if said := p.said.String(); said != "" {
		return fmt.Errorf("%w; the proxy command said %q", err, said)
	}
	return fmt.Errorf("%w; it runs over a proxy command", err)
}

// Read waits a moment at the end of the stream for the command to end too: it may yet say why.
func (p *proxyConn) Read(b []byte) (int, error) {
	n, err := p.out.Read(b)
	if errors.Is(err, io.EOF) {
		select {
		case <-p.exited:
		case <-time.After(time.Second):
		}
	}
	return n, err
}

func (p *proxyConn) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close ends the command and all that it started.
func (p *proxyConn) Close() error {
	p.kill()
	_ = p.in.Close()
	return p.out.Close()
}

// LocalAddr returns a placeholder: a command has no address.
func (p *proxyConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// RemoteAddr returns a placeholder.
func (p *proxyConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

func (p *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(p.out.SetReadDeadline(t), p.in.SetWriteDeadline(t))
}
func (p *proxyConn) SetReadDeadline(t time.Time) error  { return p.out.SetReadDeadline(t) }
func (p *proxyConn) SetWriteDeadline(t time.Time) error { return p.in.SetWriteDeadline(t) }

// A tail keeps the last kilobyte written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-1024):]
	return len(p), nil
}

// String returns what was kept, without blanks at its ends.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
