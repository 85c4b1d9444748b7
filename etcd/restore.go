package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/etcdutl/v3/snapshot"
)

// Restore makes the data of a store of one member, o, from a file that a snapshot was written to.
// There must be none yet. Keys with their revisions, leases, users and their rights are those of the
// snapshot; the members it had are forgotten.
func Restore(ctx context.Context, file string, o MemberOptions) error {
	unlock, err := lockStore(o.Dir)
	if err != nil {
		return fmt.Errorf("restore store: %w", err)
	}
	defer unlock()
	data := filepath.Join(o.Dir, dataName)
	if exists(data) {
		err = fmt.Errorf("there is a store in %s already", data)
	} else {
		err = restore(ctx, file, data, o, 0)
	}
	if err != nil {
		return fmt.Errorf("restore store: %w", err)
	}
	return nil
}

// leap is by how much the revisions of a store leap when it loses writes: by more than it can have
// lost. So no revision that somebody knows will ever stand for something else, and whoever watches is
// told that the past is gone and reads the state as a whole again.
const leap = 1_000_000_000

// restore makes data, from one moment to the next, with its revisions ahead by the given number of
// those in the file.
func restore(ctx context.Context, file, data string, o MemberOptions, ahead uint64) error {
	peerURL, _, err := memberURLs(o.Peer)
	if err != nil {
		return err
	}
	unfinished := data + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	smallSegments()
	config := snapshot.RestoreConfig{
		SnapshotPath:   file,
		Name:           memberName(o.Name),
		OutputDataDir:  unfinished,
		PeerURLs:       []string{peerURL.String()},
		InitialCluster: memberName(o.Name) + "=" + peerURL.String(),
		// The IDs of the store and its member are made from this. No two stores may have the same,
		// or the members of one would take those of the other for their own.
		InitialClusterToken: o.Cluster + "/" + rand.Text(),
		RevisionBump:        ahead,
		MarkCompacted:       ahead > 0,
	}
	n, done := newNode(), make(chan error, 1)
	go func() { // which a fatal error ends
		defer close(done)
		done <- snapshot.NewV3(newZap(o.Log, n.fatal)).Restore(config)
	}()
	err, ok := <-done
	if !ok {
		err = n.Err()
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return rename(unfinished, data)
}

// Revive makes the data in o.Dir, the last state of a store that lost its majority for good, that of
// a store of this one member. What the lost members alone knew is lost; the others of the old store
// must not be started again, but join anew. Clients notice, and write and read again what they have
// to. If it is interrupted, call it again.
func Revive(ctx context.Context, o MemberOptions) error {
	unlock, err := lockStore(o.Dir)
	if err != nil {
		return fmt.Errorf("revive store: %w", err)
	}
	defer unlock()
	data := filepath.Join(o.Dir, dataName)
	lost, revived := data+".lost", data+".revived"
	if exists(data) {
		if err = os.RemoveAll(lost); err == nil {
			err = revive(ctx, revived, o)
		}
		if err == nil {
			err = rename(data, lost)
		}
	} else if !exists(revived) {
		err = fmt.Errorf("there is no store in %s", data)
	}
	if err == nil {
		err = rename(revived, data)
	}
	if err == nil {
		err = os.RemoveAll(lost)
	}
	if err != nil {
		return fmt.Errorf("revive store: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// revive makes data from the last state of the store in o.Dir. That is found by starting it, forced
// to be alone, for some of it may be in etcd's log only.
func revive(ctx context.Context, data string, o MemberOptions) (err error) {
	n := newNode()
	if _, _, err := n.gate.raise(); err != nil { // it is not for clients
		return err
	}
	config, err := newConfig(o.Dir, o.Authority, n, newZap(o.Log, n.fatal))
	if err != nil {
		return err
	}
	config.Name = memberName(o.Name)
	alone(config)
	config.ForceNewCluster = true
	if err := n.start(ctx, config, func() {}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if n.embedded.Server.IsLearner() {
		return errors.New("this member was still learning what the store holds: revive another one, or restore a snapshot")
	}
	if err := n.ready(ctx); err != nil {
		return err
	}
	file := data + ".db"
	defer os.Remove(file)
	if err := n.snapshotTo(ctx, file); err != nil {
		return err
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	return restore(ctx, file, data, o, leap)
}

func (n *node) snapshotTo(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = n.snapshot(ctx, f)
	return errors.Join(err, f.Close())
}

// rename renames a directory so that it stays so when the machine fails.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
