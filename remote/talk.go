package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"spore/remote/dial"
)

const (
	promptIn = 10 * time.Second       // how long sudo may take to ask, to start the command, or to refuse
	lastWord = 500 * time.Millisecond // how long to wait for the rest of what is said when one stream has ended
	maxSaid  = 16 << 10               // bytes of it that are kept
)

// foreignScript is what sudo starts: it tells that it has got so far, on both streams, by a line
// that nobody can know beforehand, and runs the command. A hung-up terminal is not to end that, and
// as it is not sudo's own child sudo does not stop for ever with it, should it be stopped.
const foreignScript = `trap "" HUP; unset LC_ALL; u=$(id -un 2>/dev/null); ` +
	`case $u in "" | *[!A-Za-z0-9._-]*) ;; *) eval "HOME=~$u"; export HOME ;; esac; cd "$HOME" 2>/dev/null || cd /; ` +
	`printf "\n%s\n" "$0" >&2; printf "\n%s\n" "$0"; "$@"; exit $?`

// plainScript makes sudo and its like speak English, which we understand.
const plainScript = `LC_ALL=C; export LC_ALL; exec "$@"`

var (
	asksPlainly  = regexp.MustCompile(`(?i)pass(word|phrase|code)[^\n]*: ?$`)
	wantsTTY     = regexp.MustCompile(`(?i)\b(tty|terminal)\b`)
	saysDenied   = regexp.MustCompile(`(?i)authentication (failed|required)`)
	saysWrong    = regexp.MustCompile(`(?i)incorrect|authentication fail|try again`)
	knowsNoFlag  = regexp.MustCompile(`(?i)(unrecogni[sz]ed|invalid|unknown|unexpected|unsupported)[^\n]*-p\b|-p\b[^\n]*(not supported|unsupported)`)
	isNotThere   = regexp.MustCompile(`(?i)\b(sudo|doas|su): (command )?not found`)
	mustChange   = regexp.MustCompile(`(?i)password change required|password (has|is) expired`) // sshd's, in front of every command
	saysTimedOut = regexp.MustCompile(`(?i)timed? ?out`)
)

// A talk is what sudo and its like say, and are answered, before a command begins.
type talk struct {
	b        *becomer
	user     string // whose password is asked for
	terminal bool
	plain    bool
	start    string // the line that says that the command has begun
	prompt   string // what sudo is told to ask with

	heard chan heard
	over  chan struct{}    // closed when the talk is over
	pipes []*io.PipeReader // what comes after
	said  string
	from  int // where in said the last prompt ended
	used  dial.Answer
	sent  bool // a password has been sent
	asked bool // a person was asked for it
}

// heard is what was heard on one stream.
type heard struct {
	text  string
	begun bool      // the command has begun
	ended bool      // the stream has
	reply io.Writer // where an answer goes
}

func (b *becomer) talk(login string) *talk {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &talk{
		b: b, user: login, terminal: b.terminal, plain: b.plain,
		start: "spore-" + rand.Text(), prompt: "spore-" + rand.Text() + ": ",
		heard: make(chan heard), over: make(chan struct{}),
	}
	if b.Method == Su {
		t.user = b.User
	}
	return t
}

// argv is the command line that starts a command as the other user.
func (t *talk) argv(command []string) ([]string, error) {
	command = append([]string{"/bin/sh", "-c", foreignScript, t.start}, command...)
	user := t.b.User
	switch t.b.Method {
	case Doas:
		return append([]string{"doas", "-u", user}, command...), nil
	case Su:
		line, err := Quote(command...)
		return []string{"su", "-", user, "-c", line}, err
	}
	argv := []string{"sudo"}
	if !t.terminal {
		argv = append(argv, "-S")
	}
	if !t.plain {
		argv = append(argv, "-p", t.prompt)
	}
	return append(append(argv, "-u", user, "--"), command...), nil
}

// onPipes starts a command without a terminal.
func (t *talk) onPipes(ctx context.Context, h *host, command []string) (*command, error) {
	argv, err := t.argv(command)
	if err != nil {
		return nil, err
	}
	line, err := Quote(append([]string{"/bin/sh", "-c", plainScript, "sh"}, argv...)...)
	if err != nil {
		return nil, err
	}
	c, err := h.exec(ctx, "exec "+line)
	if err != nil {
		return nil, err
	}
	c.out, c.errs = t.listen(c.out, c.in), t.listen(c.errs, c.in)
	return t.hold(ctx, c)
}

// listen hears what r says until the command begins, and returns what comes after.
func (t *talk) listen(r io.Reader, reply io.Writer) io.Reader {
	after, w := io.Pipe()
	t.pipes = append(t.pipes, after)
	go func() {
		var before []byte
		mark := []byte(t.start + "\n")
		begun := false
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			p := buf[:n]
			if !begun && n > 0 {
				before = append(before, p...)
				p = nil
				if i := bytes.Index(before, mark); i >= 0 {
					begun, p = true, before[i+len(mark):]
					t.hear(heard{begun: true})
				} else {
					before = before[max(0, len(before)-len(mark)):]
					t.hear(heard{text: string(buf[:n]), reply: reply})
				}
			}
			if len(p) > 0 {
				w.Write(p) // in vain once nobody reads; r is read to its end all the same
			}
			if err != nil {
				t.hear(heard{ended: true})
				w.CloseWithError(err)
				return
			}
		}
	}()
	return after
}

func (t *talk) hear(h heard) {
	select {
	case t.heard <- h:
	case <-t.over:
	}
}

// hold talks until the command begins.
func (t *talk) hold(ctx context.Context, c *command) (*command, error) {
	free := c.free
	c.free = func() {
		free()
		for _, p := range t.pipes {
			p.Close()
		}
	}
	err := t.converse(ctx)
	close(t.over)
	if err != nil {
		c.kill()
		c.free()
		return nil, err
	}
	return c, nil
}

func (t *talk) converse(ctx context.Context) error {
	timer := time.NewTimer(promptIn)
	defer timer.Stop()
	ended := false
	for {
		select {
		case h := <-t.heard:
			switch {
			case h.begun:
				return nil
			case h.ended && !ended:
				ended = true
				timer.Reset(lastWord)
			}
			t.said += h.text
			if !t.prompted() {
				break
			}
			if err := t.answer(ctx, h.reply); err != nil {
				return err
			}
			timer.Reset(promptIn)
		case <-timer.C:
			if ended {
				return t.refusal()
			}
			return t.failed(fmt.Sprintf("it neither began nor asked for a password within %v", promptIn), t.said, nil)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// prompted reports whether the password is being asked for.
func (t *talk) prompted() bool {
	if len(t.said) > maxSaid {
		cut := len(t.said) - maxSaid
		t.said, t.from = t.said[cut:], max(0, t.from-cut)
	}
	rest := t.said[t.from:]
	if t.b.Method == Sudo && !t.plain {
		// sudo-rs puts more words around it.
		i := strings.Index(rest, strings.TrimSuffix(t.prompt, ": "))
		if i < 0 || !strings.Contains(rest[i:], ":") {
			return false
		}
	} else if !asksPlainly.MatchString(rest) {
		return false
	}
	t.from = len(t.said)
	return true
}

// answer gives the password.
func (t *talk) answer(ctx context.Context, to io.Writer) error {
	if t.sent {
		return errWrong
	}
	a, asked, err := t.b.password(ctx, t.user)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return t.failed(fmt.Sprintf("a password is needed, and %v", err), "", err)
	}
	t.used, t.asked, t.sent = a, asked, true
	// An error means that it has ended, of which the streams tell more.
	_, _ = io.WriteString(to, a.Secret.Reveal()+"\n")
	return nil
}

// refusal says why it ended and began nothing.
func (t *talk) refusal() error {
	switch {
	case mustChange.MatchString(t.said):
		return t.failed("the password has expired: log in by ssh and change it", t.said, nil)
	case t.asked && saysTimedOut.MatchString(t.said):
		return errLate
	case t.sent && saysWrong.MatchString(t.said):
		return errWrong
	case !t.terminal && (wantsTTY.MatchString(t.said) || t.b.Method == Doas && !t.sent && saysDenied.MatchString(t.said)):
		return errTerminal // OpenDoas does not say that this is what it misses
	case t.b.Method == Sudo && !t.plain && knowsNoFlag.MatchString(t.said):
		return errPrompt
	case isNotThere.MatchString(t.said):
		return t.failed("there is no "+t.b.Method, t.said, nil)
	}
	return t.failed("it is refused", t.said, nil)
}

func (t *talk) failed(why, said string, cause error) error {
	for _, own := range []string{t.prompt, strings.TrimSuffix(t.prompt, ": ")} {
		said = strings.ReplaceAll(said, own, "")
	}
	return &BecomeError{
		Host: t.b.host, Method: t.b.Method, User: t.b.User, Why: why,
		Said: words(said, t.used), Err: errors.Join(cause),
	}
}
