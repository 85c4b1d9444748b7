package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"spore/etcd"
	"spore/internal/cluster"
	"spore/internal/resident"
	"spore/internal/secret"
	"spore/remote"
)

const (
	// commitWithin is how long the first member waits for somebody to commit to it before it takes
	// itself away.
	commitWithin = 2 * time.Minute
	snapshotFile = "snapshot.db" // in the run directory of the first member
)

// install puts what is to stay in its place on every host, and starts none of it.
func (d *detachment) install(ctx context.Context) error {
	if err := d.enter(); err != nil {
		return err
	}
	endpoints, err := d.seeds(ctx)
	if err != nil {
		return err
	}
	store, _ := d.current()
	return all(d.hosts, func(j *joining) error {
		grants := d.granted(j.name)
		grants.Resident = true // in the first snapshot, too
		credentials, err := store.Admit(ctx, j.name, grants)
		if err != nil {
			return err
		}
		j.begun = true
		var done resident.Installed
		err = j.resident(ctx, resident.Installation{
			Config: resident.Config{
				Cluster: d.Record.Cluster.ID, Name: d.Record.Cluster.Name, Host: j.name, Peer: j.peer,
				Endpoints: endpoints, LogLevel: d.LogLevel.String(),
			},
			Credentials: credentials,
		}, &done, "install")
		j.recipient = done.Recipient
		return err
	})
}

// enter makes the record one of all the hosts, and has it kept: without it nobody could go on from here.
func (d *detachment) enter() error {
	store, _ := d.current()
	if d.link == nil {
		key, err := store.Server.Authority().Key()
		if err != nil {
			return err
		}
		d.Record.CA, d.Record.CAKey = store.Server.Authority().Certificate(), key
		d.Record.MarkKey = rand.Text()
		d.Record.Cluster.ID, d.Record.Cluster.Founded = rand.Text(), time.Now().UTC()
	}
	for _, j := range d.hosts {
		target := j.host.Target
		target.Password = ""
		d.Record.Put(cluster.HostRecord{Name: j.name, Address: target.String()})
	}
	return d.Save(d.Record)
}

// seeds are the client URLs of those who serve the store, or are about to.
func (d *detachment) seeds(ctx context.Context) ([]string, error) {
	if d.link != nil {
		return d.link.Store.Endpoints(ctx)
	}
	_, client, err := etcd.URLs(d.hosts[0].peer)
	return []string{client}, err
}

// handOver makes the store the hosts': a snapshot of it is restored on the first of them. Up to the
// commit the store of this process is the one that counts, and it takes no write meanwhile; from
// then on it is the other, and this one ends.
func (d *detachment) handOver(ctx context.Context) error {
	if d.link != nil {
		return nil
	}
	old, _ := d.current()
	seed := d.hosts[0]
	lift, err := old.Server.Fence(ctx)
	if err != nil {
		return err
	}
	defer lift()
	mark, err := d.found(ctx, old, seed)
	if err != nil {
		return err
	}
	link, err := d.Open(ctx, d.Record)
	if err != nil {
		return err
	}
	if err := d.commit(ctx, link.Store, seed, mark); err != nil {
		return errors.Join(err, link.Close())
	}
	d.link = link
	d.adopt(Linked(link, old.Server.Authority()))
	d.say("the store is the hosts' now, served by %s", seed.name)
	if err := old.End(); err != nil {
		d.Log.Warn("close store", "err", err)
	}
	return nil
}

// found makes the seed the first member of the hosts' own store, with all that the old one holds.
func (d *detachment) found(ctx context.Context, old *Store, seed *joining) (etcd.Mark, error) {
	snapshot, err := os.CreateTemp(old.Dir, "snapshot-") // in a directory that goes, whatever happens
	if err != nil {
		return etcd.Mark{}, err
	}
	defer os.Remove(snapshot.Name())
	defer snapshot.Close()
	mark, err := old.Server.Snapshot(ctx, snapshot)
	if err != nil {
		return mark, err
	}
	info, err := snapshot.Stat()
	if err != nil {
		return mark, err
	}
	err = seed.session.Push(ctx, remote.File{
		Name: snapshotFile, Mode: 0o600, Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(snapshot.Name()) },
	})
	if err != nil {
		return mark, fmt.Errorf("%s: %w", seed.name, err)
	}
	err = seed.resident(ctx, resident.Founding{
		Cluster: d.Record.Cluster.ID, Host: seed.name, Peer: seed.peer,
		CA: d.Record.CA, CAKey: d.Record.CAKey, CommitWithin: commitWithin,
	}, nil, "found", "--snapshot", path.Join(runDir, snapshotFile))
	if e := seed.session.Remove(ctx, snapshotFile); err == nil {
		err = e
	}
	if err != nil {
		return mark, fmt.Errorf("%s: %w", seed.name, err)
	}
	return mark, nil
}

// commit makes sure that the other store holds what this one does, and makes it the one that counts.
func (d *detachment) commit(ctx context.Context, store *etcd.Store, seed *joining, mark etcd.Mark) error {
	got, err := store.Mark(ctx)
	if err != nil {
		return err
	}
	if got != mark {
		return fmt.Errorf("%s: what it took over is not what was handed to it: revision %d, hash %x; want %d, %x",
			seed.name, got.Revision, got.Hash, mark.Revision, mark.Hash)
	}
	members, err := store.Members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(members, func(m etcd.Member) bool { return m.Host == seed.name })
	if i < 0 {
		return fmt.Errorf("%s does not serve the store", seed.name)
	}
	peer, client, err := etcd.URLs(seed.peer)
	if err != nil {
		return err
	}
	key, err := secret.Encrypt(seed.recipient, d.Record.CAKey)
	if err != nil {
		return err
	}
	return store.Commit(ctx, d.Record.Cluster, []string{client}, seed.name, etcd.Order{
		Member: members[i].ID, Cluster: d.Record.Cluster.ID, Peer: seed.peer,
		Initial: map[string]string{seed.name: peer}, Authority: key,
	})
}
