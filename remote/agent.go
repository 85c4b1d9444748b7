package remote

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// An agent is a command on the host whose lines are relayed: the agent itself, or one that was
// attached to it.
type agent struct {
	attached bool
	cmd      *command
	free     func()
	say      chan []byte   // what to write to stdin next; nil closes it
	ready    chan struct{} // closed when the first line of its own has come
	done     chan struct{} // closed when it has ended and all it wrote was relayed
	err      error         // how it ended; to be read after done
	tail     tail
}

// begins is the line of stderr after which it is the agent's. What login scripts print in front of
// that, and in front of the marker on stdout, is not; it may lack the end of its last line.
const begins = "spore-begins-1"

// recorded makes of argv a command line that first writes the process id down in the run
// directory, for clean.sh, and starts nothing if that directory has been taken away meanwhile.
func recorded(run string, argv []string) []string {
	return begun(`(umask 077; echo $$ >"$0") && `, path.Join(run, "pid"), argv)
}

// begun makes of argv a command line that first says on both streams that they begin, after what
// the shell does with arg. The agent gets a PATH, should the host have set none.
func begun(first, arg string, argv []string) []string {
	const rest = `echo && echo >&2 && echo ` + begins + ` >&2 && ` +
		`PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin} && export PATH && exec "$@"`
	return append([]string{"/bin/sh", "-c", first + rest, arg}, argv...)
}

// launch starts argv on the host. stdin is written at once.
func (s *Session) launch(ctx context.Context, h *host, argv []string, stdin []byte, attached bool) (*agent, error) {
	cmd, err := h.command(ctx, argv...)
	if err != nil {
		return nil, err
	}
	unpin := h.pin(cmd.sessions)
	a := &agent{
		attached: attached,
		cmd:      cmd,
		free: func() {
			cmd.free()
			unpin()
		},
		say:   make(chan []byte, 2),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
	if len(stdin) > 0 {
		a.say <- stdin
	}
	s.wg.Go(func() { a.write(s) })
	s.wg.Go(func() { a.relay(s) })
	return a, nil
}

// write feeds stdin, in order, without making anybody wait for an agent that does not read.
func (a *agent) write(s *Session) {
	for {
		select {
		case p := <-a.say:
			if p == nil {
				a.cmd.in.Close()
				return
			}
			n, err := a.cmd.in.Write(p)
			s.sent.Add(int64(n))
			if err != nil {
				return
			}
		case <-a.done:
			return
		}
	}
}

// relay passes lines on until the agent has ended.
func (a *agent) relay(s *Session) {
	defer close(a.done)
	defer a.free()
	var wg sync.WaitGroup
	wg.Go(func() {
		own := false
		eachLine(a.cmd.out, maxLine, func(line string) {
			if !own && strings.HasPrefix(line, s.o.Marker) {
				own = true
				close(a.ready)
			}
			if own {
				s.report(s.o.Output, line)
			}
		})
	})
	wg.Go(func() {
		own := false
		eachLine(a.cmd.errs, maxLine, func(line string) {
			switch {
			case own:
				a.tail.add(line)
				s.report(s.o.Stderr, line)
			case line == begins:
				own = true
				a.tail.clear()
			default:
				a.tail.add(line) // the reason, should nothing follow
			}
		})
	})
	wg.Wait()
	a.err = a.cmd.wait()
}

// stop asks it to end. It is called once.
func (a *agent) stop(line string) {
	if line == "" {
		a.say <- nil
		return
	}
	a.say <- []byte(line + "\n")
}

// leave ends the session of ours. The agent goes on: a signal sent to it here would leave behind what it
// runs, of which clean.sh knows better.
func (a *agent) leave() {
	select {
	case <-a.done:
	default:
		if a.attached {
			a.cmd.kill()
		}
		a.free()
	}
}

// status returns how an agent that is done ended. ok is false when the host did not say.
func (a *agent) status() (end *AgentError, ok bool) {
	end = &AgentError{Code: -1, Stderr: a.tail.text()}
	if a.err == nil {
		end.Code = 0
		return end, true
	}
	var exit *ssh.ExitError
	if errors.As(a.err, &exit) {
		end.Code, end.Signal = exit.ExitStatus(), Clean(exit.Signal())
		return end, true
	}
	return end, false
}
