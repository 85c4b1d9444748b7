package resident

import "context"

// The services of a host.
const (
	AgentService = "agent"
	StoreService = "store"
)

// Services keep processes running. What they keep running is restarted when it ends, with the
// binary of the layout, for as long as there is something for it to do.
type Services interface {
	// Install makes the services known, and starts none.
	Install(ctx context.Context) error
	// Uninstall forgets them. They have to be stopped.
	Uninstall(ctx context.Context) error
	// Start runs a service from now on, and where systemd does it from each boot on.
	Start(ctx context.Context, service string) error
	// Stop returns once the service has ended, which it was given the time to do in good order. To
	// stop what does not run, or is not even known, is no error.
	Stop(ctx context.Context, service string) error
	// Restart ends a service as Stop does and starts it again.
	Restart(ctx context.Context, service string) error
	// Running says whether the service is being kept running.
	Running(ctx context.Context, service string) (bool, error)
	// LastWords is what a service said last of why it ended, as far as that is known.
	LastWords(ctx context.Context, service string) string
}
