package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"spore/etcd"
	"spore/remote/dial"
)

const (
	format  = "spore-cluster/1"
	maxName = 64 // characters
)

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

// CheckName reports why no cluster can be called name.
func CheckName(name string) error {
	if len(name) > maxName || !names.MatchString(name) {
		return fmt.Errorf("%q is no name for a cluster: it takes at most %d small letters, digits, dots and dashes, the first a letter or digit",
			name, maxName)
	}
	return nil
}

// A Record is what the laptop keeps of a cluster. It holds the key of the cluster's authority, with
// which anybody may do anything to its hosts: it prints and logs without it.
type Record struct {
	Cluster etcd.Cluster `json:"cluster"`
	CA      []byte       `json:"ca"`  // PEM
	CAKey   []byte       `json:"key"` // PEM
	// MarkKey is what the marks of secrets are made with. No host has it: it would let a member try
	// out what the secrets of others are.
	MarkKey  string       `json:"markKey,omitempty"`
	Hosts    []HostRecord `json:"hosts"`
	PeerPort int          `json:"peerPort"` // of members among themselves; the next is for clients
	Become   Become       `json:"become,omitzero"`
	// SSHConfig is the ssh_config to reach the hosts by, an absolute path or none; empty is the
	// person's own.
	SSHConfig string    `json:"sshConfig,omitempty"`
	Made      time.Time `json:"made"`
	// Complete says that the store was handed over and every host settled in. Without it, to run the
	// same command again finishes the job.
	Complete bool `json:"complete"`
}

// A HostRecord is a host of a cluster.
type HostRecord struct {
	Name    string `json:"name"`    // in the exchange
	Address string `json:"address"` // as dial.Parse takes it, without a password
}

// Become is how to become root on the hosts.
type Become struct {
	Method string `json:"method"` // sudo, doas or su; empty if who logs in is root
	User   string `json:"user,omitempty"`
}

// Host returns the host called name.
func (r Record) Host(name string) (HostRecord, bool) {
	i := slices.IndexFunc(r.Hosts, func(h HostRecord) bool { return h.Name == name })
	if i < 0 {
		return HostRecord{}, false
	}
	return r.Hosts[i], true
}

// NoHost says that the cluster has no host called name, and which it has.
func (r Record) NoHost(name string) error {
	return fmt.Errorf("cluster %s has no host %q: it has %s", r.Cluster.Name, name, hostNames(r.Hosts))
}

func hostNames(hosts []HostRecord) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	return strings.Join(names, ", ")
}

// Put adds h, or replaces the host of its name.
func (r *Record) Put(h HostRecord) {
	i := slices.IndexFunc(r.Hosts, func(o HostRecord) bool { return o.Name == h.Name })
	if i < 0 {
		r.Hosts = append(slices.Clip(r.Hosts), h)
		return
	}
	r.Hosts = slices.Clone(r.Hosts)
	r.Hosts[i] = h
}

// Drop forgets the host called name.
func (r *Record) Drop(name string) {
	r.Hosts = slices.DeleteFunc(slices.Clone(r.Hosts), func(h HostRecord) bool { return h.Name == name })
}

// Authority returns the authority of the cluster.
func (r Record) Authority() (*etcd.Authority, error) {
	a, err := etcd.LoadAuthority(r.CA, r.CAKey)
	if err != nil {
		return nil, fmt.Errorf("read the authority of cluster %s: %w", r.Cluster.Name, err)
	}
	return a, nil
}

// String tells the name of the cluster and nothing else.
func (r Record) String() string { return "record of cluster " + r.Cluster.Name }

// GoString is String.
func (r Record) GoString() string { return r.String() }

// LogValue is String.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// check reports what a record lacks.
func (r Record) check() error {
	if err := CheckName(r.Cluster.Name); err != nil {
		return err
	}
	switch {
	case r.Cluster.ID == "":
		return errors.New("it does not say which cluster it is of: its ID is missing")
	case len(r.CA) == 0 || len(r.CAKey) == 0:
		return errors.New("it lacks the cluster's certificate authority")
	}
	seen := make(map[string]bool)
	for _, h := range r.Hosts {
		if h.Name == "" || seen[h.Name] {
			return fmt.Errorf("it has a host %q without a name of its own", h.Address)
		}
		seen[h.Name] = true
		t, err := dial.Parse(h.Address)
		if err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
		if t.Password != "" {
			return fmt.Errorf("host %s: its address holds a password, which is not to be kept", h.Name)
		}
	}
	return nil
}

// file is a record as it is written.
type file struct {
	Format string `json:"format"`
	Record
}

// Encode returns r as it is kept in a file, which others read with Decode.
func (r Record) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	content, err := json.MarshalIndent(file{format, r}, "", "  ")
	return append(content, '\n'), err
}

// Decode reads what Encode returned.
func Decode(content []byte) (Record, error) {
	var f file
	if err := json.Unmarshal(content, &f); err != nil {
		return Record{}, fmt.Errorf("it is no record of a cluster: %w", err)
	}
	if f.Format != format {
		return Record{}, fmt.Errorf("it is no record of a cluster that this version of spore reads: its format is %q, not %q", f.Format, format)
	}
	return f.Record, f.check()
}
