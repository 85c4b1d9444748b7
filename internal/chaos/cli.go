package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A cli is the binary in the hands of a person, whose home is dir.
type cli struct {
	binary string
	dir    string
	config string // of ssh
}

// How long a command may take.
const (
	detachLimit = 4 * time.Minute
	deployLimit = 45 * time.Second
	statusLimit = 30 * time.Second
)

func (c cli) detach(ctx context.Context, graphs []string, ideal int, memberTimeout time.Duration) error {
	args := []string{"run", "--detach", "--no-input", "-F", c.config,
		"--ideal-cluster-size", fmt.Sprint(ideal), "--member-timeout", memberTimeout.String()}
	for _, g := range graphs {
		args = append(args, "--remote", g)
	}
	_, err := c.run(ctx, detachLimit, args...)
	return err
}

func (c cli) deploy(ctx context.Context, graphs []string) error {
	_, err := c.run(ctx, deployLimit, append([]string{"deploy", "--yes", "--no-input", "-F", c.config}, graphs...)...)
	return err
}

// status returns how the fleet stands. The exit code tells that too: it is no failure of the command
// if there is a status.
func (c cli) status(ctx context.Context) (Status, error) {
	out, err := c.run(ctx, statusLimit, "status", "--json", "--no-input", "-F", c.config)
	var s Status
	if json.Unmarshal(out, &s) == nil && len(s.Hosts) > 0 {
		return s, nil
	}
	if err == nil {
		err = fmt.Errorf("spore status: this is no status: %.200q", out)
	}
	return s, err
}

// run runs the binary to its end, and ends it with all that it started if that takes too long.
func (c cli) run(ctx context.Context, limit time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.path("home"), "XDG_DATA_HOME=" + c.path("data"), "TMPDIR=" + c.path("tmp"),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return stdout.Bytes(), fmt.Errorf("spore %s: %w: %s", args[0], err, tail(stderr.Bytes(), 2000))
	}
	return stdout.Bytes(), nil
}

func (c cli) path(name string) string { return filepath.Join(c.dir, name) }

// furnish makes the person's directories.
func (c cli) furnish() error {
	for _, name := range []string{"home", "data", "tmp", "graphs"} {
		if err := os.MkdirAll(c.path(name), 0o700); err != nil {
			return fmt.Errorf("make the directories of a person: %w", err)
		}
	}
	return nil
}

// tail is the end of text, at most n bytes, trimmed.
func tail(text []byte, n int) string {
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-n):])
}
