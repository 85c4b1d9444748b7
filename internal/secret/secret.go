// Package secret finds out what the references in graph files stand for, on the initiator: from the
// environment, a file, a command, a file that age encrypted, or a person.
package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	scheme  = "secret://"
	maxSize = 64 << 10 // bytes of one secret
)

// Forms tells a person how references are written.
const Forms = "secret://env/NAME, secret://file/PATH, secret://cmd/COMMAND, secret://age/PATH or secret://prompt/QUESTION"

// A Resolver resolves references. It asks for each once, and keeps what it found in memory alone.
type Resolver struct {
	// Ask asks a person; nil never does.
	Ask func(ctx context.Context, question string) (string, error)
	// Identities are files with age identities or SSH keys; if empty, $SPORE_AGE_IDENTITY, else
	// ~/.config/spore/age.key and ~/.ssh/id_ed25519.
	Identities []string

	mu    sync.Mutex
	known map[key]found
}

// A key is a reference as a graph file in dir has it.
type key struct{ dir, reference string }

type found struct {
	value string
	err   error
}

// Resolve returns what reference stands for in a graph file in dir, to which its paths are relative.
// One newline at the end of a file, or of what a command prints, is not part of the secret. Errors
// never hold what was found.
func (r *Resolver) Resolve(ctx context.Context, dir, reference string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{dir, reference}
	f, ok := r.known[k]
	if !ok {
		if r.known == nil {
			r.known = map[key]found{}
		}
		f.value, f.err = r.find(ctx, dir, reference)
		if f.err == nil {
			f.err = check(f.value)
		}
		if f.err != nil {
			f.value, f.err = "", fmt.Errorf("resolve %s: %w", reference, f.err)
		}
		r.known[k] = f
	}
	return f.value, f.err
}

// check says what keeps a value from being a secret. It travels as JSON, which would change what is no
// text, and to a host nothing may arrive that is not what was meant.
func check(value string) error {
	switch {
	case value == "":
		return errors.New("it is empty")
	case len(value) > maxSize:
		return errTooLarge
	case !utf8.ValidString(value):
		return errors.New("it is not text in UTF-8: encode it, in base64 for instance, and have the host decode it")
	}
	return nil
}

var errTooLarge = fmt.Errorf("it is larger than %d KiB", maxSize>>10)

func (r *Resolver) find(ctx context.Context, dir, reference string) (string, error) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(reference, scheme), "/")
	what, err := url.PathUnescape(rest)
	if err != nil || what == "" {
		return "", errors.New("want " + Forms)
	}
	switch kind {
	case "env":
		value, ok := os.LookupEnv(what)
		if !ok {
			return "", errors.New("there is no such variable in the environment")
		}
		return value, nil
	case "file":
		return readFile(absolute(dir, what), func(r io.Reader) (io.Reader, error) { return r, nil })
	case "cmd":
		return run(ctx, dir, what)
	case "age":
		return readFile(absolute(dir, what), r.decrypt)
	case "prompt":
		if r.Ask == nil {
			return "", errors.New("nobody can be asked: there is no terminal, or --no-input was given")
		}
		return r.Ask(ctx, what)
	}
	return "", errors.New("want " + Forms)
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func readFile(path string, open func(io.Reader) (io.Reader, error)) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in, err := open(f)
	if err != nil {
		return "", err
	}
	return read(in)
}

func read(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxSize+int64(len("\r\n"))+1))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// run returns what a shell command prints. What it says on its standard error is shown if it fails:
// it is the command's own business to keep the secret out of that.
func run(ctx context.Context, dir, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	var out, errs bounded
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	cmd.WaitDelay = time.Second // for what it has started and left behind
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("command failed: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	return read(&out)
}

// A bounded buffer keeps more than a secret may have, and not all that a command may print.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, 2*maxSize-b.Len()))])
	return len(p), nil
}
