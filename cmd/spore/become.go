package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"spore/internal/cluster"
	"spore/remote"
	"spore/remote/dial"
)

const (
	superuser   = "root"
	maxPassword = 4 << 10 // bytes of a file with one
)

// A method is a flag that takes a way to become another user.
type method string

func (m *method) String() string { return string(*m) }

// Set implements pflag.Value.
func (m *method) Set(text string) error {
	ways := []string{remote.Sudo, remote.Doas, remote.Su}
	if !slices.Contains(ways, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(ways, ", "))
	}
	*m = method(text)
	return nil
}

// Type implements pflag.Value.
func (m *method) Type() string { return "METHOD" }

// becomeFlags say as whom everything runs on the hosts.
type becomeFlags struct {
	method       method
	user         string
	passwordFile string
}

func (f *becomeFlags) register(fl *pflag.FlagSet) {
	fl.Var(&f.method, "become", "run everything on the hosts as --become-user: by sudo, or --become=doas, --become=su; a password is asked for where one is needed")
	fl.Lookup("become").NoOptDefVal = remote.Sudo
	fl.StringVar(&f.user, "become-user", superuser, "the `USER` whom --become is to become")
	fl.StringVar(&f.passwordFile, "become-password-file", "", "a `FILE` with the password for --become, which nobody else may read")
}

// asRecorded has them be those that a cluster was made with, where no flag says otherwise.
func (f *becomeFlags) asRecorded(b cluster.Become, flags *pflag.FlagSet) {
	if f.method != "" {
		return
	}
	f.method = method(b.Method)
	if !flags.Changed("become-user") && b.User != "" {
		f.user = b.User
	}
}

func (f *becomeFlags) check() error {
	switch {
	case f.method == "" && f.user != superuser:
		return errors.New("--become-user needs --become")
	case f.method == "" && f.passwordFile != "":
		return errors.New("--become-password-file needs --become")
	case f.user == "" || strings.HasPrefix(f.user, "-"):
		return fmt.Errorf("--become-user %q is no user's name", f.user)
	}
	return nil
}

// options returns as whom everything runs; nil is as who logs in.
func (f *becomeFlags) options(d *dial.Dialer) (*remote.Become, error) {
	if f.method == "" {
		return nil, nil
	}
	b := &remote.Become{Method: string(f.method), User: f.user}
	if f.passwordFile == "" {
		b.Password = func(ctx context.Context, user string, seen int, q dial.Question) (dial.Answer, error) {
			return d.Ask(ctx, b.Method+" "+user, seen, q)
		}
		return b, nil
	}
	password, err := readPassword(f.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("--become-password-file: %w", err)
	}
	b.Password = func(_ context.Context, _ string, seen int, _ dial.Question) (dial.Answer, error) {
		if seen > 0 {
			return dial.Answer{}, errors.New("--become-password-file holds but one")
		}
		return dial.Answer{Secret: password, Count: 1}, nil
	}
	return b, nil
}

// readPassword reads the first line of a file that is private.
func readPassword(path string) (dial.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s may be read by others (%v): chmod 600 it", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s begins with an empty line, which is no password", path)
	}
	return dial.Secret(line), nil
}
