package resident

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"spore/etcd"
)

// LatestSnapshot stands for the newest snapshot on a host.
const LatestSnapshot = "latest"

// A Revived is the answer of a host that has revived the store.
type Revived struct {
	Endpoints []string `json:"endpoints"` // where the store is from now on
}

// Revive makes the store of a fleet that has lost its majority for good one of this member alone: of
// its last state, or of the snapshot of this name, which it has kept. What that does not hold is lost.
// All other hosts have to be told to Follow. If it is interrupted, call it again.
func Revive(ctx context.Context, l Layout, snapshot string) (Revived, error) {
	var out Revived
	err := privileged()
	if err == nil {
		err = l.change(ctx, func() (err error) {
			r := &revival{layout: l, services: l.Services(), snapshot: snapshot}
			out, err = r.run(ctx)
			return err
		})
	}
	if err != nil {
		return Revived{}, fmt.Errorf("revive: %w", err)
	}
	return out, nil
}

// A revival makes the store anew from what one host has of it.
type revival struct {
	layout   Layout
	services Services
	snapshot string // empty is the last state

	config    Config
	member    Membership
	authority *etcd.Authority
}

func (r *revival) run(ctx context.Context) (Revived, error) {
	if err := r.load(); err != nil {
		return Revived{}, err
	}
	_, client, err := etcd.URLs(r.member.Peer)
	if err != nil {
		return Revived{}, err
	}
	out := Revived{Endpoints: []string{client}}
	// The agent must not find the old orders in the new store.
	if err = r.services.Stop(ctx, AgentService); err == nil {
		err = r.services.Stop(ctx, StoreService)
	}
	if err == nil {
		err = r.remake(ctx)
	}
	// Whatever has come of it, they run: the host goes on as its last graph says.
	after := context.WithoutCancel(ctx)
	err = errors.Join(err, r.services.Start(after, StoreService))
	if err == nil {
		err = r.lead(ctx, out.Endpoints)
	}
	return out, errors.Join(err, r.services.Start(after, AgentService))
}

// load reads which member the host is.
func (r *revival) load() error {
	if err := readJSON(r.layout.config(), &r.config); errors.Is(err, fs.ErrNotExist) {
		return errNothing
	} else if err != nil {
		return err
	}
	err := readJSON(r.layout.membership(), &r.member)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this host has not served the store: revive a host that has")
	}
	if err != nil {
		return err
	}
	if !r.member.Until.IsZero() {
		return errors.New("nobody has committed to the store of this host: it is no cluster's")
	}
	ca, err := os.ReadFile(r.layout.ca())
	if err != nil {
		return err
	}
	key, err := os.ReadFile(r.layout.caKey())
	if err != nil {
		return err
	}
	r.authority, err = etcd.LoadAuthority(ca, key)
	return err
}

// remake makes the store one of this member alone.
func (r *revival) remake(ctx context.Context) error {
	peer, _, err := etcd.URLs(r.member.Peer)
	if err != nil {
		return err
	}
	initial := map[string]string{r.member.Host: peer}
	o := etcd.MemberOptions{
		Dir: r.layout.Store(), Name: r.member.Host, Peer: r.member.Peer, Initial: initial,
		Cluster: r.member.Cluster, Authority: r.authority, Log: slog.New(slog.DiscardHandler),
	}
	if r.snapshot == "" {
		err = etcd.Revive(ctx, o)
	} else {
		var file string
		if file, err = r.layout.snapshotFile(r.snapshot); err == nil {
			err = etcd.Replace(ctx, file, o)
		}
	}
	if err != nil {
		return err
	}
	return writeJSON(r.layout.membership(), Membership{Cluster: r.member.Cluster, Host: r.member.Host, Peer: r.member.Peer, Initial: initial})
}

// snapshotFile is the snapshot of this name.
func (l Layout) snapshotFile(name string) (string, error) {
	s := snapshots{dir: l.snapshots()}
	times, err := s.list()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var names []string
	for _, t := range times {
		path := s.path(t)
		if filepath.Base(path) == name || strings.TrimSuffix(filepath.Base(path), snapshotSuffix) == name {
			return path, nil
		}
		names = append(names, filepath.Base(path))
	}
	switch {
	case len(times) == 0:
		return "", errors.New("there is no snapshot on this host")
	case name == LatestSnapshot:
		return s.path(times[len(times)-1]), nil
	}
	return "", fmt.Errorf("there is no snapshot %q on this host: it has %s", name, strings.Join(names, ", "))
}
