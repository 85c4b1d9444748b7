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
	Command string `json:"command"`         // stop, follow, yield, succeed or status
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

// orders are what an agent does at the commands that reach it.
type orders struct {
	stop  func()
	yield func() bool // ends the agent if nobody needs it; reports whether it will
	// succeed ends the agent for another that takes over what it exports; it returns the lease of that.
	succeed func() int64
	status  func() Status
}

// A Status is how an agent stands.
type Status struct {
	Digest    string `json:"digest,omitempty"` // SHA-256 of its binary, in hex
	Settled   bool   `json:"settled"`
	Revision  int64  `json:"revision"`  // of the store's graph that it runs; 0 if it runs none of those
	Connected bool   `json:"connected"` // whether the store is in reach
}

// A control is the socket on which a living agent is found again.
type control struct {
	orders
	listener net.Listener
	journal  *journal
}

// listenControl serves the control socket in dir, which is private to the user, until it is closed.
func listenControl(ctx context.Context, dir string, j *journal, o orders) (*control, error) {
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
	c := &control{orders: o, listener: l, journal: j}
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
		case "succeed":
			_ = out.Encode(c.succeed())
		case "status":
			_ = out.Encode(c.status())
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
