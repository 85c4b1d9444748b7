// Package cluster is the laptop's side of a detached fleet: it keeps what it takes to come back to
// one, reaches its store through SSH to any of its hosts that lives, and tells how it stands.
//
// A Record is all that the laptop keeps of a cluster. A Reacher opens the cluster's store with it; the
// Link that it returns goes on through another host when the one that it leads through is lost. A
// Status is how the cluster stood at one moment, apart from how it is shown.
package cluster
