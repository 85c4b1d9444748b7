package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

var errNothing = errors.New("nothing is installed on this host")

// Start runs the agent from now on, and the store if the host is a member. From then on Discard
// leaves the installation alone.
func Start(ctx context.Context, l Layout) error {
	err := privileged()
	if err == nil {
		err = start(ctx, l, l.Services())
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

func start(ctx context.Context, l Layout, services Services) error {
	if _, err := os.Stat(l.config()); errors.Is(err, fs.ErrNotExist) {
		return errNothing
	}
	release, err := l.exclusive(ctx)
	if err != nil {
		return err
	}
	defer release()
	state, err := l.storeState()
	if err != nil {
		return err
	}
	if err := writeFile(l.started(), nil, 0o600); err != nil {
		return err
	}
	if state == StoreMember {
		if err := services.Start(ctx, StoreService); err != nil {
			return err
		}
	}
	return services.Start(ctx, AgentService)
}
