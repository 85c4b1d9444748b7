package resident

import (
	"path/filepath"
	"time"

	"spore/etcd"
)

// A Layout says where on a host what belongs to it lies.
type Layout struct {
	Root string // /var/lib/spore
	Etc  string // /etc, which holds what the host's init is to start
	Run  string // /run, which tells what that is; without it none is asked
}

// Standard is the layout of hosts.
func Standard() Layout { return Layout{Root: "/var/lib/spore", Etc: "/etc", Run: "/run"} }

// Binary is the path of the binary that agent and store run.
func (l Layout) Binary() string { return filepath.Join(l.Root, "bin", "spore") }

// Dir is the private directory of the agent.
func (l Layout) Dir() string { return filepath.Join(l.Root, "resident") }

// Store is the private directory of a member of the store.
func (l Layout) Store() string { return filepath.Join(l.Root, "store") }

// A Config is what a host has to know to be one of a detached fleet. It is written when the host
// joins.
type Config struct {
	Cluster string `json:"cluster"` // the ID of the etcd.Cluster
	Name    string `json:"name"`    // of the cluster
	Host    string `json:"host"`    // the host's, in the exchange
	Peer    string `json:"peer"`    // host:port at which the others reach it as a member; the next port is for clients
	// Endpoints are where the members are when the host joins; none for the first host.
	Endpoints []string `json:"endpoints,omitempty"`
	LogLevel  string   `json:"logLevel,omitempty"`
	Noop      bool     `json:"noop,omitempty"`
}

// An Installation is all that a host is given when it joins; it comes on standard input.
type Installation struct {
	Config      Config           `json:"config"`
	Credentials etcd.Credentials `json:"credentials"`
}

// Installed is the answer to an Installation.
type Installed struct {
	Recipient string `json:"recipient"` // age recipient of the host
}

// A Founding is what the first member is given beside a snapshot of the store.
type Founding struct {
	Cluster      string        `json:"cluster"` // the ID
	Host         string        `json:"host"`
	Peer         string        `json:"peer"`
	CA           []byte        `json:"ca"`  // PEM
	CAKey        []byte        `json:"key"` // PEM
	CommitWithin time.Duration `json:"commitWithin"`
}

// A Membership is what a member of the store is started with.
type Membership struct {
	Cluster string            `json:"cluster"`
	Host    string            `json:"host"`
	Peer    string            `json:"peer"`
	Member  uint64            `json:"member,omitempty"`
	Initial map[string]string `json:"initial,omitempty"` // peer URLs by host
	// Existing says that it joins members that are there.
	Existing bool `json:"existing,omitempty"`
	// Until is the time at which a store that nobody has committed to takes itself away; zero if
	// somebody has.
	Until time.Time `json:"until,omitzero"`
}

// An Info is how a host stands.
type Info struct {
	Root      bool     `json:"root"`           // whether spore runs as root there
	Init      string   `json:"init,omitempty"` // what starts agent and store at boot; empty if nothing does
	Version   string   `json:"version"`
	Digest    string   `json:"digest,omitempty"`  // SHA-256 of the resident binary
	Cluster   string   `json:"cluster,omitempty"` // the ID; empty if the host belongs to none
	Name      string   `json:"name,omitempty"`
	Host      string   `json:"host,omitempty"`
	Agent     bool     `json:"agent"`               // runs
	Store     string   `json:"store,omitempty"`     // pending, member, or empty
	Addresses []string `json:"addresses,omitempty"` // IPs that others may reach it at, likeliest first
}

// A Reach asks whether a host can reach others; the answer is a list of Reached.
type Reach struct {
	Targets []Target `json:"targets"`
}

// A Target is a port of a host. Token is what its listener says, so that no other host is taken for it.
type Target struct {
	Host    string `json:"host"`
	Address string `json:"address"` // host:port
	Token   string `json:"token"`
}

// Reached tells whether a Target was reached.
type Reached struct {
	Target Target `json:"target"`
	Error  string `json:"error,omitempty"` // why not
}

// A Listen has a host listen on the ports for members and clients until its standard input ends.
type Listen struct {
	Port  int    `json:"port"` // and the next
	Token string `json:"token"`
}
