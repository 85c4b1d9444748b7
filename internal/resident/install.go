package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"spore/internal/secret"
)

// A ForeignError tells that a host belongs to another cluster.
type ForeignError struct{ ID, Name string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("this host belongs to the cluster %s (%s) already: have it leave that first", e.Name, e.ID)
}

// Install puts all that a host needs as one of a fleet in its place, and starts nothing. To do it
// again does no harm; the binary of an installation that was started is left to Upgrade, and who
// belongs to another cluster is refused with a *ForeignError.
func Install(ctx context.Context, l Layout, in Installation) (Installed, error) {
	if err := privileged(); err != nil {
		return Installed{}, fmt.Errorf("install: %w", err)
	}
	binary, err := os.Executable()
	if err != nil {
		return Installed{}, fmt.Errorf("install: %w", err)
	}
	return install(ctx, l, l.Services(), binary, in)
}

func install(ctx context.Context, l Layout, services Services, binary string, in Installation) (Installed, error) {
	if in.Config.Cluster == "" || in.Config.Host == "" || in.Config.Peer == "" || len(in.Credentials.Key) == 0 {
		return Installed{}, errors.New("install: the installation lacks a cluster, host, peer address or key")
	}
	release, err := l.exclusive(ctx)
	if err != nil {
		return Installed{}, fmt.Errorf("install: %w", err)
	}
	defer release()
	if err := l.belongsTo(in.Config.Cluster); err != nil {
		return Installed{}, fmt.Errorf("install: %w", err)
	}
	out := Installed{}
	for _, step := range []func() error{
		func() error { return writeJSON(l.config(), in.Config) }, // first: the host is taken
		func() error { return makeDir(filepath.Dir(l.Binary())) },
		func() error { return writeJSON(l.credentials(), in.Credentials) },
		func() (err error) { out.Recipient, err = l.makeIdentity(); return err },
		func() error { return l.placeBinary(binary) },
		func() error { return services.Install(ctx) },
	} {
		if err := step(); err != nil {
			return Installed{}, fmt.Errorf("install: %w", err)
		}
	}
	return out, nil
}

// belongsTo refuses a host that belongs to another cluster than the one with this ID.
func (l Layout) belongsTo(id string) error {
	var c Config
	err := readJSON(l.config(), &c)
	if err == nil && c.Cluster != id {
		return &ForeignError{ID: c.Cluster, Name: c.Name}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// makeIdentity returns the recipient of the host's identity, which it makes once.
func (l Layout) makeIdentity() (recipient string, err error) {
	text, err := os.ReadFile(l.identity())
	if err == nil {
		return secret.RecipientOf(strings.TrimSpace(string(text)))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	identity, recipient, err := secret.NewIdentity()
	if err != nil {
		return "", err
	}
	return recipient, writeFile(l.identity(), []byte(identity+"\n"), 0o600)
}

// placeBinary puts the binary where it is to be run from.
func (l Layout) placeBinary(from string) error {
	_, started := os.Stat(l.started())
	_, there := os.Stat(l.Binary())
	if started == nil && there == nil {
		return nil
	}
	return placeFile(from, l.Binary())
}
