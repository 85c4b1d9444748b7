package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"

	"spore/etcd"
	"spore/internal/resident"
	"spore/remote"
)

// maxListeners is how many hosts are tried to be reached by all others: the members of a fleet are
// few, and those who may take their places.
const maxListeners = 32

// reach finds out at which address the others reach each host, and tells by name who cannot reach
// whom. For as long as that takes the hosts listen on the ports of members.
func (d *detachment) reach(ctx context.Context) error {
	if err := d.candidates(); err != nil {
		return err
	}
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	members, err := d.serving(ctx)
	if err != nil {
		return err
	}
	listeners := slices.DeleteFunc(slices.Clone(d.hosts), func(j *joining) bool { return j.serves(members) })
	listeners = listeners[:min(len(listeners), maxListeners)]
	if err := all(listeners, func(j *joining) error { return j.listen(listening, d.Peers.Port) }); err != nil {
		return err
	}
	targets := endpoints(members)
	for _, j := range listeners {
		for _, address := range j.addresses {
			targets = append(targets, j.targets(address)...)
		}
	}
	seen, err := d.look(ctx, targets)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		if t.Token == "" { // a member that is there: it has one address
			errs = append(errs, seen.troubles(t)...)
		}
	}
	for _, j := range listeners {
		errs = append(errs, j.choose(seen)...)
	}
	return errors.Join(errs...)
}

// candidates finds the addresses that hosts may be reached at.
func (d *detachment) candidates() error {
	for host := range d.Peers.hosts {
		if !d.known(host) {
			return fmt.Errorf("--peer-address %s=…: there is no host of that name", host)
		}
	}
	return all(d.hosts, func(j *joining) (err error) {
		if j.addresses, err = d.Peers.candidates(j.name, j.info.Addresses); err == nil {
			j.peer = j.addresses[0]
		}
		return err
	})
}

func (d *detachment) known(host string) bool {
	for _, m := range d.members {
		if m.name == host {
			return true
		}
	}
	return d.Settled[host] != nil
}

// listen has the host listen on the ports of members until ctx ends.
func (j *joining) listen(ctx context.Context, port int) error {
	j.token = rand.Text()
	ask, err := json.Marshal(resident.Listen{Port: port, Token: j.token})
	if err != nil {
		return err
	}
	conn, err := j.session.Stream(ctx, func(p remote.Paths) []string { return []string{p.Binary, "resident", "listen"} })
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	if _, err := io.Copy(conn, bytes.NewReader(append(ask, '\n'))); err != nil {
		return lastWords(err)
	}
	var answer struct{ Listening bool }
	if err := json.NewDecoder(conn).Decode(&answer); err != nil || !answer.Listening {
		return lastWords(err)
	}
	return nil
}

// targets are the ports of a member at peer.
func (j *joining) targets(peer string) []resident.Target {
	list := []resident.Target{{Host: j.name, Address: peer, Token: j.token}}
	if client, err := nextPort(peer); err == nil {
		list = append(list, resident.Target{Host: j.name, Address: client, Token: j.token})
	}
	return list
}

// serving are the members that are there already.
func (d *detachment) serving(ctx context.Context) ([]etcd.Member, error) {
	if d.link == nil {
		return nil, nil
	}
	return d.link.Store.Members(ctx)
}

// serves reports whether the host is one of them, as is the one that the store was handed to when what
// came after was interrupted: then its ports are taken, and its address is known.
func (j *joining) serves(members []etcd.Member) bool {
	i := slices.IndexFunc(members, func(m etcd.Member) bool { return m.Host == j.name })
	if i >= 0 {
		j.peer = members[i].Peer
	}
	return i >= 0
}

// endpoints are those of members.
func endpoints(members []etcd.Member) (targets []resident.Target) {
	for _, m := range members {
		if u, err := url.Parse(m.Client); err == nil && u.Host != "" {
			targets = append(targets, resident.Target{Host: m.Host, Address: u.Host})
		}
	}
	return targets
}

// A sight is what hosts could not reach, and why: by target, then by who tried.
type sight map[resident.Target]map[string]string

// look has every host try the targets.
func (d *detachment) look(ctx context.Context, targets []resident.Target) (sight, error) {
	answers := make([][]resident.Reached, len(d.hosts))
	err := all(d.hosts, func(j *joining) error {
		for i, o := range d.hosts {
			if o == j {
				return j.resident(ctx, resident.Reach{Targets: targets}, &answers[i], "reach")
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen := sight{}
	for i, j := range d.hosts {
		for _, r := range answers[i] {
			if r.Error == "" {
				continue
			}
			if seen[r.Target] == nil {
				seen[r.Target] = map[string]string{}
			}
			seen[r.Target][j.name] = r.Error
		}
	}
	return seen, nil
}

// troubles tells who could not reach a target.
func (s sight) troubles(t resident.Target) (errs []error) {
	for _, from := range slices.Sorted(maps.Keys(s[t])) {
		errs = append(errs, fmt.Errorf("%s cannot reach %s at %s: %s", from, t.Host, t.Address, remote.Clean(s[t][from])))
	}
	return errs
}

// choose takes the first address at which all others reach the host, and reports the troubles with
// the likeliest if there is none.
func (j *joining) choose(seen sight) (errs []error) {
	for _, address := range j.addresses {
		var troubles []error
		for _, t := range j.targets(address) {
			troubles = append(troubles, seen.troubles(t)...)
		}
		if len(troubles) == 0 {
			j.peer = address
			return nil
		}
		if errs == nil || len(troubles) < len(errs) {
			errs = troubles
		}
	}
	return errs
}
