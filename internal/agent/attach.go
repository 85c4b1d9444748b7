package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"spore/internal/view"
)

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

// Follow hands the records of the agent in dir after since to f, until the agent ends, f fails or ctx
// is done.
func Follow(ctx context.Context, dir string, since int64, f func(view.Record) error) error {
	conn, err := dialControl(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := json.NewEncoder(conn).Encode(command{Command: "follow", Since: since}); err != nil {
		return fmt.Errorf("follow agent: %w", err)
	}
	for dec := json.NewDecoder(conn); ; {
		var r view.Record
		switch err := dec.Decode(&r); {
		case errors.Is(err, io.EOF) || ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("follow agent: %w", err)
		}
		if err := f(r); err != nil {
			return err
		}
	}
}

// Ask returns how the agent in dir stands.
func Ask(ctx context.Context, dir string) (s Status, err error) {
	if err := ask(ctx, dir, "status", &s); err != nil {
		return Status{}, fmt.Errorf("ask agent how it stands: %w", err)
	}
	return s, nil
}

// askTime bounds how long a living agent may take to answer.
const askTime = 2 * time.Second

// ask gives the agent in dir a command and decodes the answer.
func ask(ctx context.Context, dir, name string, answer any) error {
	conn, err := dialControl(ctx, dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(askTime))
	if err := json.NewEncoder(conn).Encode(command{Command: name}); err != nil {
		return err
	}
	return json.NewDecoder(bufio.NewReader(conn)).Decode(answer)
}

func dialControl(ctx context.Context, dir string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return nil, fmt.Errorf("find agent in %s: %w", dir, ErrNoAgent)
	}
	return conn, nil
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
