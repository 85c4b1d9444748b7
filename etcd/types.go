package etcd

import "spore/engine"

// maxValue is the largest value the store takes, in bytes.
const maxValue = 1 << 20

// A Graph is what a host is to run: the text of a graph file, and which files came along with it.
type Graph struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Files string `json:"files,omitempty"` // the digest of what was copied to the host beside it
	// Bundle is the digest under which the store holds what travels with the graph, where no
	// initiator copies that.
	Bundle string `json:"bundle,omitempty"`
	// Secrets are what the references in Text stand for, as JSON encrypted for Facts.Recipient of the
	// host, where no initiator brings them.
	Secrets []byte `json:"secrets,omitempty"`
	// Marks tell, for each reference, whether what it stands for is still the same, to those alone who
	// have the key that they were made with.
	Marks map[string][]byte `json:"marks,omitempty"`
}

// A Report is how a host stood at one moment.
type Report struct {
	// Settled says that the host had nothing left to do, having been handed all data writes up to
	// Processed. A reporter reads Processed first and asks its runner second.
	Settled   bool          `json:"settled"`
	Graph     int64         `json:"graph"`     // the revision of the graph it runs
	Processed int64         `json:"processed"` // see Client.Processed
	Counts    engine.Counts `json:"counts"`
	Failures  []string      `json:"failures,omitempty"` // at most 20 are sent, each cut to 500 bytes
	// Repaired counts the changes made since the agent started to what had been as declared: drift.
	Repaired int64 `json:"repaired,omitempty"`
}

// Facts are what a host tells of itself.
type Facts struct {
	OS        string   `json:"os"`
	Arch      string   `json:"arch"`
	Addresses []string `json:"addresses,omitempty"`
	Version   string   `json:"version"`
	// What follows is told by the agents of a detached fleet only.
	Resident  bool   `json:"resident,omitempty"`
	Digest    string `json:"digest,omitempty"`    // SHA-256 of the agent's binary, in hex
	Peer      string `json:"peer,omitempty"`      // host:port at which it would serve other members; the next port is for clients
	Recipient string `json:"recipient,omitempty"` // age recipient: what it alone is to read is encrypted for this
}
