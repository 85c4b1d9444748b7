package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"spore/internal/sshtest"
	"spore/remote/dial"
)

// fakeSudo stands for sudo, and does as $HABIT says. Nobody becomes anybody else by it.
const fakeSudo = `#!/bin/sh
[ "$HABIT" != tty ] || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; }
[ "$HABIT" != expired ] || { echo "WARNING: Your password has expired." >&2; echo "Password change required but no TTY available." >&2; exit 1; }
[ "$HABIT" != none ] || { echo "sh: 1: exec: sudo: not found" >&2; exit 127; }
prompt='[sudo] password for me: ' from=tty
while [ $# -gt 0 ]; do
	case $1 in
	-S) from=stdin ;;
	-p)
		[ "$HABIT" != old-rs ] || { echo "sudo: unrecognized option '-p'" >&2; exit 1; }
		prompt=$2
		shift ;;
	-u) shift ;;
	--) shift; break ;;
	esac
	shift
done
[ "$from" = stdin ] || exit 9
ask() {
	printf '%s' "$prompt" >&2
	IFS= read -r word || exit 1
	[ "$word" = 'open sesame' ]
}
case $HABIT in
free) ;;
lecture)
	printf 'We trust you have received the usual lecture.\nPassword: is what you will be asked for.\n\n' >&2
	ask || exit 1 ;;
asks | old-rs) ask || { echo 'Sorry, try again.' >&2; ask; } || { echo 'sudo: 2 incorrect password attempts' >&2; exit 1; } ;;
rs)
	prompt="[sudo: $prompt] Password: "
	ask || { echo 'sudo: Authentication failed, try again.' >&2; exit 1; } ;;
stranger)
	ask
	printf 'me is not in the \033[1msudoers file.\n' >&2
	exit 1 ;;
echoes)
	ask
	echo "you said $word" >&2
	exit 1 ;;
odd) printf 'Touch your token now: ' >&2; exec sleep 60 ;;
hangs) exec sleep 60 ;;
esac
exec "$@"
`

// newForeignRig is a rig whose host becomes another user as habit says.
func newForeignRig(t *testing.T, habit string, opts sshtest.Options) *rig {
	t.Helper()
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "sudo"), []byte(fakeSudo), 0o700))
	opts.Env = append(opts.Env, "HABIT="+habit, "PATH="+bin+":"+os.Getenv("PATH"))
	return newRig(t, opts)
}

// foreign are the options of a session that becomes root, and is given these answers when it asks.
func (r *rig) foreign(answers ...string) (o Options, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	o = r.options()
	o.Become = &Become{Method: Sudo, Password: func(_ context.Context, user string, seen int, q dial.Question) (dial.Answer, error) {
		asked.Add(1)
		if user != "me" || !strings.HasPrefix(q.Text, "sudo password for me") || q.Host != r.target.Name() {
			return dial.Answer{}, errors.New("the question is odd")
		}
		if seen >= len(answers) {
			return dial.Answer{}, dial.ErrNoPrompt
		}
		return dial.Answer{Secret: dial.Secret(answers[seen]), Count: seen + 1}, nil
	}}
	return o, asked
}

func TestBecome(t *testing.T) {
	for _, test := range []struct {
		habit   string
		answers []string
		asked   int32
	}{
		{"free", nil, 0},
		{"asks", []string{"open sesame"}, 1},
		{"lecture", []string{"open sesame"}, 1},
		{"rs", []string{"open sesame"}, 1},
		{"old-rs", []string{"open sesame"}, 1},
		{"asks", []string{"wrong", "wrong again", "open sesame"}, 3},
		{"rs", []string{"wrong", "open sesame"}, 2},
	} {
		t.Run(test.habit, func(t *testing.T) {
			r := newForeignRig(t, test.habit, sshtest.Options{Greeting: "welcome\nPassword: none\n"})
			o, asked := r.foreign(test.answers...)
			j := r.start(o)
			j.waitLine("agent: store says got from the host", 1)
			run := waitEvent[Probed](j, 1).Run
			if got, want := waitEvent[Forwarded](j, 1).Store, "unix://"+filepath.Join(run, "store.sock"); got != want {
				t.Errorf("the store is at %s, want %s", got, want)
			}
			checkRunDir(t, run)
			must(t, j.Push(t.Context(), text("tree/more", strings.Repeat("it's \x00\xff%s\\n\r\n", 1000))))
			pushed, err := os.ReadFile(filepath.Join(run, "tree/more"))
			if err != nil || string(pushed) != strings.Repeat("it's \x00\xff%s\\n\r\n", 1000) {
				t.Errorf("pushed was %q (%v)", pushed, err)
			}
			must(t, j.Remove(t.Context(), "tree/more"))
			r.server.DropAll()
			waitEvent[Reattached](j, 1)
			if res := j.stopped(); res.ExitCode != 0 || res.Restarts != 0 || res.Reconnects != 1 {
				t.Errorf("result %+v", res)
			}
			if got := asked.Load(); got != test.asked {
				t.Errorf("asked %d times, want %d", got, test.asked)
			}
			if strings.Contains(j.story(), "sesame") {
				t.Error("the password is shown")
			}
			r.wantOnlyCache()
		})
	}
}

func TestBecomeRefused(t *testing.T) {
	for _, test := range []struct {
		habit   string
		answers []string
		want    string
	}{
		{"asks", []string{"wrong"}, "the password of me was refused"},
		{"asks", []string{"a", "b", "c", "open sesame"}, "the password of me was refused"},
		{"asks", nil, "a password is needed, and asking is off"},
		{"stranger", []string{"open sesame"}, "it is refused: the host says: me is not in the sudoers file."},
		{"echoes", []string{"open sesame"}, "it is refused: the host says: you said …"},
		{"tty", nil, "it demands a terminal, and the host gives none"},
		{"none", nil, "there is no sudo"},
		{"expired", nil, "the password has expired: log in by ssh and change it: the host says: "},
	} {
		t.Run(test.habit, func(t *testing.T) {
			r := newForeignRig(t, test.habit, sshtest.Options{})
			o, _ := r.foreign(test.answers...)
			j := r.start(o)
			wantRefusal(j, test.want)
			if strings.Contains(j.story(), "sesame") {
				t.Error("the password is shown")
			}
			r.wantNothing()
		})
	}
}

// wantRefusal waits for the end of a session that could not become root.
func wantRefusal(j *job, want string) {
	j.t.Helper()
	_, err := j.end()
	var become *BecomeError
	if !errors.As(err, &become) || !strings.HasPrefix(err.Error(), "become root by sudo on "+j.target.Name()+": "+want) {
		j.t.Errorf("Run says %v, want %q", err, want)
	}
}

// TestBecomeOdd meets what asks for something that nobody has.
func TestBecomeOdd(t *testing.T) {
	r := newForeignRig(t, "odd", sshtest.Options{})
	o, _ := r.foreign("open sesame")
	j := r.start(o)
	wantRefusal(j, "it neither began nor asked for a password within 10s: the host says: Touch your token now:")
	r.wantNothing()
}

// TestBecomeNobody has a session log in as the very user that it is to become.
func TestBecomeNobody(t *testing.T) {
	r := newForeignRig(t, "hangs", sshtest.Options{})
	o, _ := r.foreign()
	o.Become.User = "me"
	j := r.start(o)
	j.waitLine("agent: store says got from the host", 1)
	j.stopped()
	r.wantOnlyCache()
}
