package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"spore/internal/view"
)

// Names of the files in an agent's private directory.
const (
	socketFile = "agent.sock"
	pidFile    = "pid"
	lockFile   = "lock"
)

// socketPath returns the path of an agent's control socket, relative to the working directory if that
// is shorter: the paths of sockets can have about a hundred characters only.
func socketPath(dir string) string {
	path := filepath.Join(dir, socketFile)
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && len(rel) < len(path) {
			return rel
		}
	}
	return path
}

// StopLine is the line that ends an agent, on its standard input or that of an attach.
const StopLine = `{"command":"stop"}`

// A command is one line that an agent takes: on its standard input and on its control socket.
type command struct {
	Command string `json:"command"`         // stop, follow or yield
	Since   int64  `json:"since,omitempty"` // follow: records after this one
}

// commands reads command lines from r until its end, and calls f for each.
func commands(r io.Reader, f func(command)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("read command: %w", err)
		}
		f(c)
	}
	return lines.Err()
}

// A control is the socket on which a living agent is found again.
type control struct {
	listener net.Listener
	journal  *journal
	stop     func()
	yield    func() bool // ends the agent if nobody needs it; reports whether it will
}

// listenControl serves the control socket in dir, which is private to the user, until it is closed.
func listenControl(ctx context.Context, dir string, j *journal, stop func(), yield func() bool) (*control, error) {
	path := socketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for attach: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for attach: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen for attach: %w", err)
	}
	c := &control{listener: l, journal: j, stop: stop, yield: yield}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(ctx, conn)
		}
	}()
	return c, nil
}

func (c *control) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // who follows gets the last record too
	defer cancel()
	var followers sync.WaitGroup
	out := json.NewEncoder(conn)
	_ = commands(conn, func(cmd command) {
		switch cmd.Command {
		case "yield":
			_ = out.Encode(c.yield())
		case "follow":
			followers.Go(func() {
				_ = c.journal.follow(ctx, cmd.Since, func(r view.Record) error { return out.Encode(r) })
				_ = conn.(*net.UnixConn).CloseRead() // ended: hear no more commands
			})
		default:
			c.obey(cmd)
		}
	})
	cancel()
	followers.Wait()
}

// obey carries out the commands that need no answer.
func (c *control) obey(cmd command) {
	if cmd.Command == "stop" {
		c.stop()
	}
}

// ErrNoAgent is returned by Attach if no agent is alive in the directory.
var ErrNoAgent = errors.New("no agent is running there")

// Attach relays the records of the agent in dir to out, those after since first, and the command
// lines of in to it, until the agent ends. It returns the agent's exit code.
func Attach(ctx context.Context, dir string, since int64, in io.Reader, out io.Writer, version string) (int, error) {
	conn, err := net.Dial("unix", socketPath(dir))
	if err != nil {
		return 0, fmt.Errorf("attach to agent in %s: %w", dir, ErrNoAgent)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	view.NewJSON(out, version)
	if err := json.NewEncoder(conn).Encode(command{Command: "follow", Since: since}); err != nil {
		return 0, fmt.Errorf("attach to agent: %w", err)
	}
	go func() { _, _ = io.Copy(conn, in) }()
	return relay(conn, out)
}

func relay(from io.Reader, to io.Writer) (int, error) {
	dec := json.NewDecoder(from)
	for {
		var r view.Record
		if err := dec.Decode(&r); err != nil {
			return 0, fmt.Errorf("attach to agent: it ended without saying so: %w", err)
		}
		if err := json.NewEncoder(to).Encode(r); err != nil {
			return 0, fmt.Errorf("attach to agent: %w", err)
		}
		if r.Type == view.End && r.Exit != nil {
			return *r.Exit, nil
		}
	}
}
