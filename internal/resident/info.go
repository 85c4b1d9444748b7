package resident

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// How a store stands, in an Info.
const (
	StorePending = "pending" // nobody has committed to it yet
	StoreMember  = "member"
)

// Inspect tells how the host stands. version is that of the binary that runs.
func Inspect(l Layout, version string) (Info, error) {
	i := Info{Root: os.Geteuid() == 0, Version: version}
	i.Init = l.init()
	for _, look := range []func(Layout) error{i.digest, i.config, i.processes, i.addresses} {
		if err := look(l); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Info{}, fmt.Errorf("inspect host: %w", err)
		}
	}
	return i, nil
}

func (i *Info) digest(l Layout) (err error) {
	i.Digest, err = digestOf(l.Binary())
	return err
}

func (i *Info) config(l Layout) error {
	var c Config
	err := readJSON(l.config(), &c)
	i.Cluster, i.Name, i.Host = c.Cluster, c.Name, c.Host
	return ifAllowed(err)
}

func (i *Info) processes(l Layout) (err error) {
	if i.Agent, err = held(filepath.Join(l.Dir(), "lock")); err != nil {
		return ifAllowed(err)
	}
	i.Store, err = l.storeState()
	return ifAllowed(err)
}

// ifAllowed drops the error of one who may not look: Info.Root says so.
func ifAllowed(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// storeState is empty if the host has no store.
func (l Layout) storeState() (string, error) {
	var m Membership
	switch err := readJSON(l.membership(), &m); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case m.Until.IsZero():
		return StoreMember, nil
	}
	return StorePending, nil
}
