package resident

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// systemd are services that systemd runs.
type systemd struct {
	layout Layout
	ctl    func(ctx context.Context, args ...string) (answer string, err error) // runs systemctl
	words  func(ctx context.Context, args ...string) (answer string, err error) // runs journalctl
}

// program returns a function that runs the program at path.
func program(path string) func(context.Context, ...string) (string, error) {
	return func(ctx context.Context, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, path, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		answer, err := cmd.Output()
		if err != nil {
			why := strings.Join(strings.Fields(stderr.String()), " ")
			return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, why)
		}
		return strings.TrimSpace(string(answer)), nil
	}
}

func (s systemd) do(ctx context.Context, args ...string) error {
	_, err := s.ctl(ctx, args...)
	return err
}

func (s systemd) path(service string) string {
	return filepath.Join(s.layout.Etc, "systemd/system", unitName(service))
}

func (s systemd) Install(ctx context.Context) error {
	for _, service := range []string{AgentService, StoreService} {
		if err := writeFile(s.path(service), []byte(s.layout.unit(service)), 0o644); err != nil { // as all units
			return fmt.Errorf("write unit: %w", err)
		}
	}
	return s.do(ctx, "daemon-reload")
}

func (s systemd) Uninstall(ctx context.Context) error {
	gone := false
	for _, service := range []string{AgentService, StoreService} {
		switch err := os.Remove(s.path(service)); {
		case err == nil:
			gone = true
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("remove unit: %w", err)
		}
	}
	if !gone {
		return nil
	}
	return s.do(ctx, "daemon-reload")
}

func (s systemd) Start(ctx context.Context, service string) error {
	return s.do(ctx, "enable", "--now", unitName(service))
}

func (s systemd) Stop(ctx context.Context, service string) error {
	stop := s.do(ctx, "stop", unitName(service))
	if stop != nil {
		// systemd does not know a unit whose file is gone, unless it still runs.
		if running, err := s.Running(ctx, service); running || err != nil {
			return stop
		}
	}
	if _, err := os.Stat(s.path(service)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.do(ctx, "disable", unitName(service))
}

func (s systemd) Restart(ctx context.Context, service string) error {
	return s.do(ctx, "restart", unitName(service))
}

// Running counts a service in that has ended and is about to be started again.
func (s systemd) Running(ctx context.Context, service string) (bool, error) {
	state, err := s.ctl(ctx, "show", "--property=ActiveState", "--value", unitName(service))
	return err == nil && state != "inactive" && state != "failed", err
}

// LastWords are the end of what the journal has of its last minutes: the service's own words, or if
// it had none systemd's.
func (s systemd) LastWords(ctx context.Context, service string) string {
	for _, of := range []string{"_SYSTEMD_UNIT=" + unitName(service), "--unit=" + unitName(service)} {
		words, err := s.words(ctx, of, "--since=-5min", "--lines=3", "--output=cat", "--no-pager", "--quiet")
		if err == nil && words != "" {
			return oneLine(words)
		}
	}
	return ""
}
