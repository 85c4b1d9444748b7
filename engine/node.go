package engine

import (
	"reflect"
	"time"

	"spore/graph"
)

// An ID names a resource in its graph.
type ID struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// From is the exporting host if the resource was collected, else empty.
	From string `json:"from,omitempty"`
}

// String gives kind/name, with the exporting host behind it if there is one. It is for people: names
// may hold anything, so it cannot be taken apart again.
func (id ID) String() string {
	if id.From != "" {
		return id.Kind + "/" + id.Name + " (from " + id.From + ")"
	}
	return id.Kind + "/" + id.Name
}

// A Node is one resource of a graph: what it is called, how the engine treats it, and its spec.
type Node struct {
	ID   ID
	Meta Meta
	Spec Spec
	// Sensitive says that Spec holds a secret: what is told of the node's changes leaves values out.
	Sensitive bool
}

// Same reports whether the two nodes declare the same, so that one may go on in place of the other.
func (n Node) Same(m Node) bool { return reflect.DeepEqual(n, m) }

// Meta are the meta-parameters that every resource has.
type Meta struct {
	Noop    bool     `json:"noop,omitempty" doc:"Only report what would change."`
	Retry   int      `json:"retry,omitempty" doc:"How often to try again after a failure; -1 is for ever."`
	Delay   Duration `json:"delay,omitempty" unit:"ms" doc:"How long to wait before a retry; a bare number is in milliseconds."`
	Poll    Duration `json:"poll,omitempty" unit:"s" doc:"Check at this interval instead of watching; a bare number is in seconds."`
	Limit   float64  `json:"limit,omitempty" doc:"At most this many runs a second; 0 leaves it to the engine, which holds up only what never comes to rest."`
	Burst   int      `json:"burst,omitempty" doc:"How many runs may exceed the limit at once."`
	Sema    []string `json:"sema,omitempty" doc:"Semaphores of the host to hold while applying, each as name:count; the count is 1 if left out."`
	Timeout Duration `json:"timeout,omitempty" unit:"s" doc:"Give up a check or an apply after this time; a bare number is in seconds."`
}

// An Edge says that one resource comes after another.
type Edge struct {
	Notify bool // a change of the first refreshes the second
}

// A Graph is the resources of one host and their order.
type Graph = graph.Graph[ID, Node, Edge]

// A Collect asks for what other hosts export.
type Collect struct {
	Kind    string
	Pattern string // handed to the spec if it is [Collectable]
}

// A Program is all that one host is to do.
type Program struct {
	Name     string
	Graph    *Graph
	Exports  []Export // their Host is empty
	Collects []Collect
}

// Duration is a time.Duration that travels as text, such as "1m30s".
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as time.Duration's String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
