package remote

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

//go:embed probe.sh
var probeScript string

//go:embed hash.sh
var hashScript string

//go:embed clean.sh
var cleanScript string

const (
	maxScriptOutput = 256 << 10               // bytes that a script may print
	scriptTime      = 2 * time.Minute         // how long a script may take
	scriptGrace     = 1500 * time.Millisecond // how long a cancelled one may take to undo its work
)

// A variable is set before a script runs.
type variable struct{ name, value string }

// A script is a POSIX shell script that runs on the host. The login shell sees the words
// "exec /bin/sh -s" and nothing else, so it may be any shell.
type script struct {
	cmd   *command
	in    io.Writer
	out   *bufio.Reader
	limit *io.LimitedReader // of out
	nonce string
	eof   func() // ends stdin
	end   func() // frees the session and stops watching the context
	ctx   context.Context
	said  string      // what it said last that is not ours
	cried chan string // what it said last on its standard error, once that has ended
}

// script starts body, whose last line runs call, with vars set. Once ctx ends the script reads
// the end of its stdin, and a second later its session is closed.
func (h *host) script(ctx context.Context, body, call string, vars ...variable) (*script, error) {
	return h.scriptWithin(ctx, scriptTime, body, call, vars...)
}

// scriptWithin is script with another limit to the time that it may take; 0 is none.
func (h *host) scriptWithin(ctx context.Context, most time.Duration, body, call string, vars ...variable) (*script, error) {
	s := &script{nonce: "spore-" + rand.Text(), ctx: ctx}
	text, err := s.text(body, call, vars)
	if err != nil {
		return nil, err
	}
	if s.cmd, err = h.command(ctx, "/bin/sh", "-s"); err != nil {
		return nil, err
	}
	if err := s.start(text); err != nil {
		s.cmd.free()
		return nil, err
	}
	limit, cancel := context.WithCancel(ctx)
	if most > 0 {
		limit, cancel = context.WithTimeout(ctx, most)
	}
	stop := context.AfterFunc(limit, func() {
		s.eof()
		time.AfterFunc(scriptGrace, s.cmd.free)
	})
	s.end = sync.OnceFunc(func() {
		stop()
		cancel()
		s.cmd.free()
	})
	return s, nil
}

func (s *script) text(body, call string, vars []variable) (string, error) {
	var b strings.Builder
	for _, v := range append(vars, variable{"nonce", s.nonce}) {
		word, err := Quote(v.value)
		if err != nil {
			return "", fmt.Errorf("set %s: %w", v.name, err)
		}
		b.WriteString(v.name + "=" + word + "\n")
	}
	// One line for call and exit: a shell that reads its script byte by byte must leave nothing
	// of it for the script's own reads.
	return b.String() + body + call + "; exit $?\n", nil
}

func (s *script) start(text string) error {
	in := &stdin{w: s.cmd.in}
	s.in, s.eof = in, in.end
	s.limit = &io.LimitedReader{R: s.cmd.out, N: maxScriptOutput}
	s.out = bufio.NewReader(s.limit)
	s.cried = make(chan string, 1)
	go func() { s.cried <- lastWords(s.cmd.errs) }()
	_, err := io.WriteString(s.in, text)
	if err == io.EOF { // it has ended: next will tell
		return nil
	}
	return err
}

// next returns the next thing that the script said: its first word and the rest.
func (s *script) next() (key, value string, err error) {
	for {
		line, err := s.out.ReadString('\n')
		if said, ok := strings.CutPrefix(line, s.nonce+" "); ok && err == nil {
			key, value, _ := strings.Cut(strings.TrimSuffix(said, "\n"), " ")
			return key, value, nil
		}
		if err == io.EOF {
			if s.ctx.Err() != nil {
				return "", "", context.Cause(s.ctx)
			}
			return "", "", s.early()
		}
		if text := Clean(line); text != "" {
			s.said = text
		}
		if err != nil {
			return "", "", err
		}
	}
}

// lastWords reads r to its end and returns the last line in it that says something, cleaned.
func lastWords(r io.Reader) (text string) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadSlice('\n')
		if clean := Clean(string(line)); clean != "" {
			text = clean
		}
		if err != nil && err != bufio.ErrBufferFull {
			return text
		}
	}
}

// early is the error of a script that has ended without its last word. Its streams end together.
func (s *script) early() error {
	if said := cmp.Or(<-s.cried, s.said); said != "" {
		return fmt.Errorf("the host ended the script early (it says %q): it needs a POSIX /bin/sh", said)
	}
	return errors.New("the host ended the script early: it needs a POSIX /bin/sh")
}

// allow lets the script print so many bytes more.
func (s *script) allow(n int64) { s.limit.N += n }

// tell answers the script.
func (s *script) tell(line string) error {
	_, err := io.WriteString(s.in, line+"\n")
	return err
}

// finish waits until the script has ended; closing its stdin makes one that waits for an answer
// undo its work.
func (s *script) finish() {
	s.eof()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, s.out)
		s.cmd.wait()
	}()
	timer := time.NewTimer(scriptGrace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	s.end()
}
