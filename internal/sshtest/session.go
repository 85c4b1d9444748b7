package sshtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A session is one channel on which a command or a subsystem runs.
type session struct {
	server *Server
	ch     ssh.Channel
	conn   *ssh.ServerConn

	running bool
	run     func()         // what the last request set going
	done    sync.WaitGroup // what runs on the channel
	pipes   []io.Closer    // our ends of the command's stdin, stdout and stderr
	pgid    int
}

func newSession(s *Server, ch ssh.Channel, conn *ssh.ServerConn) *session {
	return &session{server: s, ch: ch, conn: conn}
}

// serve answers requests until the client closes the channel or the connection breaks. Then it
// takes the pipes away from the command, as OpenSSH does, and does not kill it.
func (s *session) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		ok := s.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if s.run != nil { // not before the reply, for what runs may close the channel at once
			s.run()
			s.run = nil
		}
	}
	for _, p := range s.pipes {
		_ = p.Close()
	}
	_ = s.ch.Close()
	s.done.Wait()
}

func (s *session) request(r *ssh.Request) bool {
	var arg struct{ Value string }
	switch r.Type {
	case "exec":
		return ssh.Unmarshal(r.Payload, &arg) == nil && s.exec("-c", arg.Value)
	case "shell":
		return s.exec()
	case "subsystem":
		return ssh.Unmarshal(r.Payload, &arg) == nil && arg.Value == "sftp" && s.sftp()
	case "signal":
		return ssh.Unmarshal(r.Payload, &arg) == nil && s.signal(arg.Value)
	}
	return false // pty-req and env among them
}

func (s *session) sftp() bool {
	if s.running || s.server.opts.NoSFTP {
		return false
	}
	server, err := sftp.NewServer(s.ch, sftp.WithServerWorkingDirectory(s.server.opts.Dir))
	if err != nil {
		return false
	}
	s.running = true
	s.run = func() {
		s.greet()
		s.done.Go(func() {
			_ = server.Serve() // ends with the channel; what failed was answered in the protocol
			_ = server.Close()
			s.exitStatus(0)
			_ = s.ch.Close()
		})
	}
	return true
}

func (s *session) greet() {
	if s.server.opts.Greeting != "" {
		_, _ = io.WriteString(s.ch, s.server.opts.Greeting)
	}
}

func (s *session) exec(args ...string) bool {
	if s.running {
		return false
	}
	s.running = true
	cmd := exec.Command(s.server.opts.Shell, args...)
	cmd.Dir = s.server.opts.Dir
	cmd.Env = s.environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	theirs, err := s.connect(cmd)
	if err != nil {
		return false
	}
	err = s.server.startCommand(cmd)
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		_, _ = fmt.Fprintf(s.ch.Stderr(), "%v\n", err)
		return false
	}
	s.pgid = cmd.Process.Pid
	s.run = func() { s.carry(cmd) }
	return true
}

// connect gives cmd three pipes, and returns the command's ends of them. Plain pipes, because
// those of os/exec would be held open until every grandchild has ended.
func (s *session) connect(cmd *exec.Cmd) (theirs []io.Closer, err error) {
	var in, out, errOut [2]*os.File
	for _, p := range []*[2]*os.File{&in, &out, &errOut} {
		if p[0], p[1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in[0], out[1], errOut[1]
	s.pipes = []io.Closer{in[1], out[0], errOut[0]}
	return []io.Closer{in[0], out[1], errOut[1]}, nil
}

// carry feeds cmd and reports its end. As with OpenSSH the status goes out when the command ends,
// and the channel closes when nothing holds its output any more.
func (s *session) carry(cmd *exec.Cmd) {
	s.greet()
	in, out, errOut := s.pipes[0].(*os.File), s.pipes[1].(*os.File), s.pipes[2].(*os.File)
	go func() { // ends with the channel
		_, _ = io.Copy(in, s.ch)
		_ = in.Close()
	}()
	var output sync.WaitGroup
	output.Go(func() { _, _ = io.Copy(s.ch, out) })
	output.Go(func() { _, _ = io.Copy(s.ch.Stderr(), errOut) })
	s.done.Go(func() {
		s.exit(cmd.Wait())
		s.server.forget(cmd.Process.Pid)
		output.Wait()
		_ = s.ch.CloseWrite()
		_ = s.ch.Close()
	})
}

func (s *session) environ() []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + s.server.opts.Dir,
		"PWD=" + s.server.opts.Dir,
		"SHELL=" + s.server.opts.Shell,
		"USER=" + s.conn.User(),
		"LOGNAME=" + s.conn.User(),
		"SSH_CONNECTION=" + strings.NewReplacer(":", " ").Replace(s.conn.RemoteAddr().String()+":"+s.conn.LocalAddr().String()),
	}
	return append(env, s.server.opts.Env...)
}

func (s *session) exit(err error) {
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		if ws, ok := ee.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			s.exitSignal(ws)
			return
		}
	}
	code := 0
	if err != nil {
		code = 255
	}
	if ee != nil {
		code = ee.ExitCode()
	}
	s.exitStatus(code)
}

func (s *session) exitStatus(code int) {
	_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

func (s *session) exitSignal(ws syscall.WaitStatus) {
	name := "KILL"
	for n, sig := range signals {
		if sig == ws.Signal() {
			name = n
		}
	}
	_, _ = s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
		Signal     string
		CoreDumped bool
		Message    string
		Language   string
	}{Signal: name, CoreDumped: ws.CoreDump()}))
}

// signals are those that RFC 4254 names.
var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

func (s *session) signal(name string) bool {
	sig, ok := signals[name]
	if !ok || s.pgid == 0 {
		return false
	}
	return syscall.Kill(-s.pgid, sig) == nil
}

// startCommand starts cmd unless the server has been closed, so that Close misses none.
func (s *Server) startCommand(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the server is closing")
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.groups[cmd.Process.Pid] = struct{}{}
	return nil
}

func (s *Server) forget(pgid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, pgid)
}
