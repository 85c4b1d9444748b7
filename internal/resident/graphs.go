package resident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"spore/engine/manifest"
	"spore/etcd"
	"spore/internal/agent"
	"spore/internal/bundle"
	"spore/internal/secret"
)

func (l Layout) graph() string { return filepath.Join(l.Dir(), "graph.json") }
func (l Layout) trees() string { return filepath.Join(l.Dir(), "tree") }

// tree is the directory of what travelled with g.
func (l Layout) tree(g etcd.Graph) string {
	if g.Bundle == "" {
		return filepath.Join(l.trees(), "none") // is there for no one to put something in
	}
	return filepath.Join(l.trees(), g.Bundle)
}

// A savedGraph is the last graph that was seen in the store.
type savedGraph struct {
	Revision int64      `json:"revision"`
	Graph    etcd.Graph `json:"graph"`
}

// lastGraph returns the graph that the host ran last, and why that cannot be had, if it had one: then
// it is an empty one.
func (a *hostAgent) lastGraph() (m *manifest.Manifest, refused error) {
	var last savedGraph
	err := readJSON(a.layout.graph(), &last)
	if err == nil {
		var secrets agent.Secrets
		if secrets, err = a.decrypt(last.Graph); err == nil {
			file := agent.GraphFile(a.layout.tree(last.Graph), last.Graph)
			m, err = manifest.Parse(file, []byte(last.Graph.Text), manifest.Options{Kinds: a.Kinds, Secrets: secrets})
		}
	}
	if err == nil {
		return m, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	m, emptyErr := emptyGraph(a.Kinds)
	return m, errors.Join(err, emptyErr)
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// prepare sees to it that what travels with g is on the host.
func (a *hostAgent) prepare(ctx context.Context, g etcd.Graph) (dir string, secrets agent.Secrets, err error) {
	if secrets, err = a.decrypt(g); err != nil {
		return "", nil, err
	}
	dir = a.layout.tree(g)
	if g.Bundle == "" {
		return dir, secrets, nil
	}
	if !digestForm.MatchString(g.Bundle) {
		return "", nil, fmt.Errorf("the graph's bundle has a malformed digest %q", g.Bundle)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, secrets, nil
	}
	content, err := a.client.Fetch(ctx, g.Bundle)
	if err != nil {
		return "", nil, err
	}
	return dir, secrets, bundle.Unpack(content, g.Bundle, dir)
}

// decrypt returns what the references in g stand for, which is never written down.
func (a *hostAgent) decrypt(g etcd.Graph) (agent.Secrets, error) {
	var all map[string]string
	if len(g.Secrets) > 0 {
		text, err := secret.Decrypt(a.identity, g.Secrets)
		if err != nil {
			return nil, fmt.Errorf("read the graph's secrets: %w", err)
		}
		if json.Unmarshal(text, &all) != nil {
			return nil, errors.New("read the graph's secrets: they are damaged")
		}
	}
	for _, value := range all {
		a.redactor.Add(value)
	}
	return func(_, reference string) (string, error) {
		value, ok := all[reference]
		if !ok {
			return "", errors.New("no such secret came with the graph")
		}
		return value, nil
	}, nil
}

// applied keeps the graph that was made the running one, to begin with when the store is out of reach.
func (a *hostAgent) applied(g etcd.Graph, revision int64) {
	a.keeper.keep(a.layout, savedGraph{revision, g})
}

// A graphKeeper writes graphs to the disk. That this fails is no reason to stop: it is said once.
type graphKeeper struct {
	log     *slog.Logger
	failing bool
}

func (k *graphKeeper) keep(l Layout, s savedGraph) {
	if err := writeJSON(l.graph(), s); err != nil {
		if !k.failing {
			k.log.Error("the graph could not be saved: after a restart without the store an older one would be run", "err", err)
		}
		k.failing = true
		return
	}
	k.failing = false
	prune(l, s.Graph)
}

// prune removes what travelled with other graphs than g.
func prune(l Layout, g etcd.Graph) {
	entries, _ := os.ReadDir(l.trees())
	for _, e := range entries {
		if path := filepath.Join(l.trees(), e.Name()); path != l.tree(g) {
			_ = os.RemoveAll(path) // the next graph tries again
		}
	}
}
