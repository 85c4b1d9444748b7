package lab

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tools maps each program that a lab runs to the Debian package that brings it.
var tools = [][2]string{
	{"debootstrap", "debootstrap"},
	{"systemd-nspawn", "systemd-container"},
	{"ip", "iproute2"},
	{"bridge", "iproute2"},
	{"tc", "iproute2"},
	{"ssh", "openssh-client"},
	{"nsenter", "util-linux"},
	{"mount", "mount"},
	{"mkfs.ext4", "e2fsprogs"},
}

// find is exec.LookPath that also knows where a Debian keeps root's programs.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if st, statErr := os.Stat(path); statErr == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", err
}

// ensureTools installs with apt-get what is missing of tools, under the lock.
func ensureTools(ctx context.Context, log *slog.Logger) error {
	if len(missingTools()) == 0 {
		return nil
	}
	unlock, err := flock(ctx, filepath.Join(cacheDir, "install.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	packages := missingTools()
	if len(packages) == 0 {
		return nil
	}
	log.Info("lab: installing packages", "packages", strings.Join(packages, " "))
	install := append([]string{"install", "-y", "--no-install-recommends"}, packages...)
	if _, err := aptGet(ctx, install...); err == nil && len(missingTools()) == 0 {
		return nil
	}
	if _, err := aptGet(ctx, "update"); err != nil {
		return err
	}
	if _, err := aptGet(ctx, install...); err != nil {
		return err
	}
	if left := missingTools(); len(left) > 0 {
		return fmt.Errorf("install %s: apt-get succeeded but the programs are still missing", strings.Join(left, " "))
	}
	return nil
}

func missingTools() []string {
	var packages []string
	for _, t := range tools {
		if _, err := find(t[0]); err != nil {
			packages = append(packages, t[1])
		}
	}
	return packages
}

func aptGet(ctx context.Context, args ...string) ([]byte, error) {
	return run(ctx, nil, append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"}, args...)...)
}

// run runs a program of the machine to its end. The error carries what it said on stderr.
func run(ctx context.Context, stdin []byte, argv ...string) ([]byte, error) {
	path, err := find(argv[0])
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", argv[0], err)
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	// What it starts ends with it, and a ^C at the terminal reaches only the lab's owner.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return output(cmd, argv[0])
}

// output runs cmd and returns its standard output; the error says what it was and has its stderr.
func output(cmd *exec.Cmd, what string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("run %s: %w: %s", what, err, tail(stderr.Bytes(), 2000))
	}
	return stdout.Bytes(), nil
}

// tail is the end of b, at most n bytes, trimmed.
func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(bytes.TrimSpace(b))
}
