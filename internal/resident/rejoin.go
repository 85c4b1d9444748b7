package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Following tells a host where the store is.
type Following struct {
	Cluster   string   `json:"cluster"` // the ID
	Endpoints []string `json:"endpoints"`
	// Member says that the host serves that store: else one that it still has is of no more use.
	Member bool `json:"member,omitempty"`
}

// Follow has the host look for the store where it is said to be. What it has itself of an older one
// goes.
func Follow(ctx context.Context, l Layout, f Following) error {
	err := privileged()
	if err == nil {
		err = l.change(ctx, func() error { return follow(ctx, l, l.Services(), f) })
	}
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	return nil
}

func follow(ctx context.Context, l Layout, services Services, f Following) error {
	if _, err := os.Stat(l.config()); errors.Is(err, fs.ErrNotExist) {
		return errNothing
	}
	if err := l.belongsTo(f.Cluster); err != nil {
		return err
	}
	if len(f.Endpoints) == 0 {
		return errors.New("it is not said where the store is")
	}
	if err := services.Stop(ctx, AgentService); err != nil {
		return err
	}
	err := writeJSON(l.endpoints(), f.Endpoints)
	if err == nil && !f.Member {
		err = takeStore(ctx, l, services)
	}
	return errors.Join(err, services.Start(context.WithoutCancel(ctx), AgentService))
}
