package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// openrc starts supervisors by a service of OpenRC's each.
type openrc struct {
	layout          Layout
	service, update func(ctx context.Context, args ...string) (answer string, err error) // rc-service, rc-update
}

func (o openrc) path(service string) string {
	return filepath.Join(o.layout.Etc, "init.d", "spore-"+service)
}

// script is the service's. What keeps the supervisor running waits for its end as long as that may take.
func (o openrc) script(service string) string {
	argv := o.layout.command("supervise", service)
	return fmt.Sprintf(`#!/sbin/openrc-run
# Written by spore; "spore resident remove" takes it away.
description="spore: keeps the %s of this host running"
supervisor=supervise-daemon
command="%s"
command_args="%s"
respawn_delay=1
respawn_max=0
retry="TERM/%d/KILL/5"

depend() {
	after localmount net
}
`, service, argv[0], strings.Join(argv[1:], " "), endPatience/time.Second)
}

func (o openrc) enable(ctx context.Context, service string) error {
	if err := writeFile(o.path(service), []byte(o.script(service)), 0o755); err != nil { // #nosec G306 -- a program
		return err
	}
	_, err := o.update(ctx, "add", "spore-"+service, "default")
	return err
}

// start begins anew what OpenRC may believe to run.
func (o openrc) start(ctx context.Context, service string) error {
	if _, err := o.service(ctx, "spore-"+service, "stop"); err != nil {
		return err
	}
	_, err := o.service(ctx, "spore-"+service, "start")
	return err
}

func (o openrc) disable(ctx context.Context, service string) error {
	if _, err := os.Stat(o.path(service)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := o.service(ctx, "spore-"+service, "stop"); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(o.layout.Etc, "runlevels/default/spore-"+service)); err == nil { // else it refuses
		if _, err := o.update(ctx, "delete", "spore-"+service, "default"); err != nil {
			return err
		}
	}
	return os.Remove(o.path(service))
}
