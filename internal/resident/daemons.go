package resident

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// daemons are supervisors that nothing starts but we ourselves.
type daemons struct{ layout Layout }

// Supervising is what a supervisor says on standard output once it has begun.
const Supervising = "supervising\n"

func (daemons) enable(context.Context, string) error  { return nil }
func (daemons) disable(context.Context, string) error { return nil }

// start returns once the supervisor has begun.
func (d daemons) start(ctx context.Context, service string) error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	argv := d.layout.command("supervise", service)
	cmd := exec.Command(argv[0], argv[1:]...) // #nosec G204 -- own binary
	cmd.Dir = d.layout.Root
	cmd.Stdout, cmd.Stderr = in, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the session that this runs in
	err = cmd.Start()
	in.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // until then a zombie, if this process lives on
	defer context.AfterFunc(ctx, func() { out.Close() })()
	said, err := bufio.NewReader(out).ReadString('\n')
	if said == Supervising {
		return nil
	}
	if errors.Is(err, io.EOF) || err == nil {
		return fmt.Errorf("%s", strings.TrimSpace(said))
	}
	return err
}
