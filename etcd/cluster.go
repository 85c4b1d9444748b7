package etcd

import "time"

// A Cluster is what is common to all of a detached fleet. It is written when the store is handed
// over, and a store that holds one belongs to its hosts for good.
type Cluster struct {
	ID      string    `json:"id"`   // random; two clusters may have one name, never one ID
	Name    string    `json:"name"` // what people call it
	Founded time.Time `json:"founded"`
	// Ideal is how many hosts are to serve the store: odd. There are fewer if there are fewer hosts.
	Ideal int `json:"ideal"`
	// MemberTimeout is how long a member may be gone before another host takes its place.
	MemberTimeout time.Duration `json:"memberTimeout"`
}

// An Order tells a host to serve the store, for as long as it stands in the store.
type Order struct {
	Member  uint64 `json:"member"`  // the ID that the store's members know it by
	Cluster string `json:"cluster"` // the ID of the Cluster
	Peer    string `json:"peer"`    // host:port at which the other members reach it
	// Initial lists the members to begin with, itself included: peer URLs by host.
	Initial map[string]string `json:"initial"`
	// Authority is the key of the certificate authority, encrypted for the host's Facts.Recipient.
	Authority []byte `json:"authority"`
}

// A Member is one of those who serve the store.
type Member struct {
	ID      uint64
	Host    string // empty if it has never been started
	Peer    string // host:port
	Client  string // https://host:port; empty if it has never been started
	Learner bool
}
