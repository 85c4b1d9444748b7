package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kill ends the main process of a systemd unit at once, as kill -9 does. What the unit says about
// restarting is left to it.
func (h *Host) Kill(ctx context.Context, unit string) error { return h.signal(ctx, unit, "KILL") }

// Pause stops the main process of a systemd unit where it is, as SIGSTOP does: it neither reacts
// nor ends, and its connections stay open.
func (h *Host) Pause(ctx context.Context, unit string) error { return h.signal(ctx, unit, "STOP") }

// Resume undoes Pause. It does nothing to a unit that does not run any more.
func (h *Host) Resume(ctx context.Context, unit string) error {
	err := h.signal(ctx, unit, "CONT")
	if errors.Is(err, errNotRunning) {
		return nil
	}
	return err
}

var errNotRunning = errors.New("it does not run")

// signal goes by the process, not by systemctl kill: that asks systemd, and must not wait for it.
func (h *Host) signal(ctx context.Context, unit, name string) error {
	pid, err := h.MainPID(ctx, unit)
	if err != nil {
		return err
	}
	_, err = h.Run(ctx, "kill", "-"+name, strconv.Itoa(pid))
	return err
}

// MainPID is the id, as the host knows it, of the main process of a systemd unit; it is an error if
// there is none.
func (h *Host) MainPID(ctx context.Context, unit string) (int, error) {
	if h.lab.state.Light {
		return 0, errors.New("light hosts have no systemd and so no units")
	}
	out, err := h.Run(ctx, "systemctl", "show", "--property=MainPID", "--value", unit)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("main process of unit %s on host %s: %w", unit, h.Name, errNotRunning)
	}
	return pid, nil
}
