package resident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sysvinit starts supervisors by a line each of inittab(5).
type sysvinit struct {
	layout  Layout
	telinit func(ctx context.Context, args ...string) (answer string, err error)
}

func (i sysvinit) path() string { return filepath.Join(i.layout.Etc, "inittab") }

// line is that of a service's supervisor, whose standard output would be the console.
func (i sysvinit) line(service string) string {
	return fmt.Sprintf("spr%.1s:2345:respawn:%s >/dev/null 2>&1\n", service, strings.Join(i.layout.command("supervise", service), " "))
}

func (i sysvinit) enable(ctx context.Context, service string) error {
	line := i.line(service)
	_, err := i.edit(ctx, func(text string) string {
		if strings.Contains("\n"+text, "\n"+line) {
			return text
		}
		return line + text // before all others, the last of which may lack its end
	})
	return err
}

func (i sysvinit) start(ctx context.Context, _ string) error {
	_, err := i.telinit(ctx, "q")
	return err
}

// disable has init end the supervisor, which it does a moment later. It is to wait for that for longer
// than it would, which is seconds.
func (i sysvinit) disable(ctx context.Context, service string) error {
	line := i.line(service)
	changed, err := i.edit(ctx, func(text string) string {
		return strings.TrimPrefix(strings.Replace("\n"+text, "\n"+line, "\n", 1), "\n")
	})
	if err != nil || !changed {
		return err
	}
	if _, err := i.telinit(ctx, "-t", fmt.Sprint(int(endPatience/time.Second)), "q"); err != nil {
		return err
	}
	eventually(ctx, endPatience, func() bool { is, err := held(i.layout.supervisor(service)); return err == nil && !is })
	return nil
}

// edit changes the inittab, which two of us may want to do at the same time.
func (i sysvinit) edit(ctx context.Context, change func(string) string) (changed bool, err error) {
	var lock *os.File
	if !eventually(ctx, 10*time.Second, func() bool {
		lock, err = tryLock(i.path(), os.O_RDONLY, unix.LOCK_EX)
		return !errors.Is(err, errHeld)
	}) || err != nil {
		return false, err
	}
	defer lock.Close()
	info, err := lock.Stat()
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(i.path())
	if err != nil {
		return false, err
	}
	next := change(string(text))
	if next == string(text) {
		return false, nil
	}
	return true, writeFile(i.path(), []byte(next), info.Mode().Perm())
}
