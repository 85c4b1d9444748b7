package remote

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Where sudo wants a terminal it gets one, of sshd's. A terminal is no place for what a command
// reads and writes, so the command's own streams are FIFOs that a second session carries: the
// terminal sees a prompt and a password.

// ttyScript makes the FIFOs, and starts sudo on them once the other session has opened them. It
// holds them open itself meanwhile, so that nobody waits for anybody who does not come. $0 is a
// random name, of their directory and in front of what the script says. The sleep keeps the terminal
// open until the password is in, for sshd takes one that nobody has open for gone; it ends with sudo.
const ttyScript = `m=$(umask); umask 077; set -f; d=; ` +
	`for b in "${XDG_RUNTIME_DIR:-/nowhere}" /dev/shm /tmp /var/tmp "$HOME"; do ` +
	`mkdir "$b/.spore-$0" 2>/dev/null && { d=$b/.spore-$0; break; }; done; ` +
	`trap 'rm -rf "$d"; exit 1' HUP INT TERM; ` +
	`[ -n "$d" ] && mkfifo "$d/i" "$d/o" "$d/e" && exec 3<>"$d/i" 4<>"$d/o" 5<>"$d/e" || { rm -rf "$d"; exit 1; }; ` +
	`printf "\n%s at %s\n" "$0" "$d"; ` +
	`read -r go && [ "$go" = go ] || { rm -rf "$d"; exit 1; }; ` +
	`sleep 3600 3<&- 4<&- 5<&- & ` +
	`exec <"$d/i" >"$d/o" 2>"$d/e" 3<&- 4<&- 5<&-; rm -rf "$d"; umask "$m"; set +f; trap - HUP INT TERM; ` + plainScript

// relayScript carries the FIFOs of the directory $0.
const relayScript = `exec 3>"$0/i" 4<"$0/o" 5<"$0/e" || exit 1; printf "\n%s open\n" "$1"; ` +
	`cat <&4 3>&- 5<&- & cat <&5 >&2 3>&- 4<&- & exec cat >&3 2>/dev/null 4<&- 5<&-`

// raw are the modes of a terminal that does nothing by itself.
var raw = ssh.TerminalModes{
	ssh.ECHO: 0, ssh.ECHONL: 0, ssh.ICANON: 0, ssh.ISIG: 0, ssh.IEXTEN: 0, ssh.OPOST: 0,
	ssh.ICRNL: 0, ssh.INLCR: 0, ssh.IGNCR: 0, ssh.IXON: 0, ssh.IXOFF: 0, ssh.ISTRIP: 0,
}

var errNoTerminal = errors.New("the host gives none (PermitTTY)")

// onTerminal starts a command with a terminal beside it.
func (t *talk) onTerminal(ctx context.Context, h *host, argv []string) (*command, error) {
	argv, err := t.argv(argv)
	if err != nil {
		return nil, err
	}
	tty, c, err := t.openPair(ctx, h, argv)
	if err != nil {
		return nil, err
	}
	c.sessions++
	c.kill = tty.kill
	freeRelay, waitRelay := c.free, c.wait
	c.free = func() {
		tty.free()
		freeRelay()
	}
	c.wait = func() error {
		err := tty.wait()
		c.in.Close()
		waitRelay()
		return err
	}
	c.out, c.errs = t.listen(c.out, c.in), t.listen(c.errs, c.in)
	t.listen(tty.out, tty.in)
	if _, err := io.WriteString(tty.in, "go\n"); err != nil {
		c.free()
		return nil, err
	}
	return t.hold(ctx, c)
}

// openPair opens both sessions, one pair at a time: several that have one each, and no room for the
// other, would wait for one another.
func (t *talk) openPair(ctx context.Context, h *host, argv []string) (tty, relay *command, err error) {
	select {
	case t.b.pair <- struct{}{}:
		defer func() { <-t.b.pair }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	id := strings.ToLower(rand.Text())
	tty, dir, err := h.openTerminal(ctx, id, argv)
	if errors.Is(err, errNoTerminal) {
		return nil, nil, t.failed("it demands a terminal, and "+err.Error(), "", err)
	}
	if err != nil {
		return nil, nil, err
	}
	unpin := h.pin(tty.sessions) // or the other would wait for this one to end
	relay, err = h.openRelay(ctx, id, dir)
	unpin()
	if err != nil {
		tty.free()
		return nil, nil, err
	}
	return tty, relay, nil
}

// openTerminal starts argv on a terminal, as far as the FIFOs are there, in dir.
func (h *host) openTerminal(ctx context.Context, id string, argv []string) (c *command, dir string, err error) {
	line, err := Quote(append([]string{"/bin/sh", "-c", ttyScript, id}, argv...)...)
	if err != nil {
		return nil, "", err
	}
	c, err = h.exec(ctx, "exec "+line, func(sess *ssh.Session) error {
		if err := sess.RequestPty("dumb", 24, 200, raw); err != nil {
			return fmt.Errorf("%w: %w", errNoTerminal, err)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	go io.Copy(io.Discard, c.errs)
	if dir, err = c.await(ctx, id+" at "); err != nil {
		c.free()
		return nil, "", fmt.Errorf("start on a terminal: %w", err)
	}
	if path.Base(dir) != ".spore-"+id || !path.IsAbs(dir) {
		c.free()
		return nil, "", errors.New("start on a terminal: the host names another directory")
	}
	return c, dir, nil
}

// openRelay starts what carries the FIFOs.
func (h *host) openRelay(ctx context.Context, id, dir string) (*command, error) {
	line, err := Quote("/bin/sh", "-c", relayScript, dir, id)
	if err != nil {
		return nil, err
	}
	c, err := h.exec(ctx, "exec "+line)
	if err != nil {
		return nil, err
	}
	if _, err := c.await(ctx, id+" open"); err != nil {
		c.free()
		return nil, fmt.Errorf("start beside a terminal: %w", err)
	}
	return c, nil
}

// await skips what login scripts print, up to a line that begins with prefix, and returns its rest.
func (c *command) await(ctx context.Context, prefix string) (rest string, err error) {
	stop := context.AfterFunc(ctx, c.free)
	defer stop()
	timer := time.AfterFunc(promptIn, c.free)
	defer timer.Stop()
	r := bufio.NewReader(c.out)
	c.out = r
	for read := 0; read < maxGreeting; {
		line, err := r.ReadString('\n')
		if rest, ok := strings.CutPrefix(line, prefix); ok && err == nil {
			return strings.TrimRight(rest, "\r\n"), nil
		}
		if err != nil && ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if err != nil {
			return "", errors.New("the host ended it early: it needs a POSIX /bin/sh, mkfifo and a directory that can be written to")
		}
		read += len(line)
	}
	return "", errors.New("the host prints too much in front of it: check its login scripts")
}
