package manifest

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"spore/engine"
	"spore/graph"
)

// A document is a graph file being understood.
type document struct {
	*report
	options   Options
	manifest  *Manifest
	sources   *sources
	resources []*resource
	declared  map[ref]*resource
	links     []link
	collects  map[string]position // by kind
}

// newDocument returns a document of which nothing is read yet.
func newDocument(r *report, file string, o Options) *document {
	return &document{
		report:  r,
		options: o,
		manifest: &Manifest{
			File: file, Name: baseName(file),
			Program: &engine.Program{Graph: graph.New[engine.ID, engine.Node, engine.Edge]()},
		},
		sources:  newSources(file),
		declared: map[ref]*resource{},
		collects: map[string]position{},
	}
}

// readAll reads the document from its root. What is wrong with it is in the report.
func (d *document) readAll(root *yaml.Node) {
	defer d.sources.close()
	var edges *entry
	d.read(d.entries(root, "the graph file"), "the graph file", fields{
		"graph":     func(e entry) { d.word(e, e.name, &d.manifest.Name) },
		"comment":   func(e entry) { d.scalar(e.value, e.name, &d.manifest.Comment) },
		"hostname":  func(e entry) { d.hostname(e) },
		"remote":    func(e entry) { d.remote(e) },
		"resources": func(e entry) { d.kindsOf(e) },
		"edges":     func(e entry) { edges = &e },
		"collect":   func(e entry) { d.collect(e) },
	})
	if edges != nil {
		d.edgeList(*edges)
	}
	if m := d.manifest; m.Hostname != "" && len(m.Remotes) > 1 {
		d.fail(position{m.Remotes[1].Line, m.Remotes[1].Column}, "take hostname away, or give each host its own graph file",
			"remote: hostname names one host, but there are %d", len(m.Remotes))
	}
	d.connect()
	d.manifest.Program.Name = d.manifest.Name
	d.manifest.Files = d.sources.list()
}

// fields are the keys that a map may have, and what is to be done with the value of each. They are
// not called for a null, which counts as absent.
type fields map[string]func(entry)

// read hands each entry to its field, and returns the fields that unknown keys may have been meant
// to be.
func (d *document) read(entries []entry, what string, f fields) (misspelt []string) {
	for _, e := range entries {
		take, ok := f[e.name]
		switch {
		case !ok:
			names := slices.Sorted(maps.Keys(f))
			d.fail(at(e.key), d.didYouMean(e.name, "known keys", names), "%s: unknown key %q", what, brief(e.name))
			misspelt = append(misspelt, d.nearest(e.name, names))
		case !isNull(e.value):
			take(e)
		}
	}
	return misspelt
}

// scalar reads any scalar as the text that was written.
func (d *document) scalar(n *yaml.Node, what string, s *string) bool {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.fail(at(n), "write one word, or a text in quotes", "%s: expected a text, got %s", what, describe(n))
		return false
	}
	*s = n.Value
	return true
}

// maxName is how many characters a name may have.
const maxName = 1000

// word reads a name: a text that is not empty and can be printed on one line.
func (d *document) word(e entry, what string, s *string) bool {
	var text string
	switch {
	case !d.scalar(e.value, what, &text):
		return false
	case strings.TrimSpace(text) == "":
		d.fail(at(e.value), "give it a name", "%s: expected a name, got an empty text", what)
		return false
	case utf8.RuneCountInString(text) > maxName:
		d.fail(at(e.value), "shorten it", "%s: is longer than %d characters", what, maxName)
		return false
	case showable(text) != text || strings.Contains(text, "\t"):
		d.fail(at(e.value), "use printable characters on one line",
			"%s: a name cannot have control characters, nor a password", what)
		return false
	}
	*s = text
	return true
}

func (d *document) hostname(e entry) {
	var name string
	if !d.scalar(e.value, e.name, &name) || name == "" {
		return
	}
	for _, c := range name {
		if !strings.ContainsRune(hostCharacters, c) {
			d.fail(at(e.value), "use letters, digits and . - _ :", "hostname: %q is not allowed in it", c)
			return
		}
	}
	d.manifest.Hostname = name
}

const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:"

// remote reads one address or a list of them. They may hold passwords, so no error shows them.
func (d *document) remote(e entry) {
	nodes := []*yaml.Node{e.value}
	if e.value.Kind != yaml.ScalarNode {
		nodes = d.items(e.value, "remote")
	}
	seen := map[string]bool{}
	for _, n := range nodes {
		var address string
		switch {
		case n.Kind != yaml.ScalarNode || isNull(n):
			d.fail(at(n), "such as ssh://root@host:22", "remote: expected an address, got %s", typeOf(n))
			continue
		case strings.TrimSpace(n.Value) == "" && n == e.value:
			continue // as good as absent
		case strings.TrimSpace(n.Value) == "":
			d.fail(at(n), "such as ssh://root@host:22", "remote: an address is empty")
			continue
		default:
			address = n.Value
		}
		if seen[address] {
			d.fail(at(n), "keep one of them", "remote: this address stands twice")
		}
		seen[address] = true
		if !d.conceal(n) {
			continue
		}
		d.manifest.Remotes = append(d.manifest.Remotes, Remote{address, n.Line, n.Column})
	}
}

func (d *document) collect(e entry) {
	for _, item := range d.items(e.value, "collect") {
		var c engine.Collect
		var kind *yaml.Node
		take := func(e entry) {
			kind = e.value
			d.scalar(e.value, e.name, &c.Kind)
		}
		d.read(d.entries(item, "collect"), "collect", fields{
			"kind": take, "res": take,
			"pattern": func(e entry) { d.scalar(e.value, e.name, &c.Pattern) },
		})
		if kind == nil && item.Kind != yaml.MappingNode {
			continue
		}
		if kind == nil {
			d.fail(at(item), "add kind:, such as kind: file", "collect: which kind is not said")
			continue
		}
		if !d.known(c.Kind, kind) {
			continue
		}
		if !d.fits(c, item) {
			continue
		}
		if first, ok := d.collects[c.Kind]; ok {
			if slices.Contains(d.manifest.Program.Collects, c) {
				d.warn(at(item), "take it away", "collect: the same as on line %d, without further effect", first.line)
			} else {
				d.fail(at(item), "keep one of them", "collect: %s is collected already, on line %d, with another pattern",
					brief(c.Kind), first.line)
			}
			continue
		}
		d.collects[c.Kind] = at(item)
		d.manifest.Program.Collects = append(d.manifest.Program.Collects, c)
	}
}

// fits reports whether the pattern is one that the kind can use, and fails at n if not.
func (d *document) fits(c engine.Collect, n *yaml.Node) bool {
	kind := d.kinds[c.Kind]
	spec, ok := kind.Spec(kind.New()).(engine.Collectable)
	if !ok {
		return true
	}
	if err := spec.ValidatePattern(c.Pattern); err != nil {
		d.fail(at(n), "add pattern:, such as pattern: /srv/", "collect: %v", err)
		return false
	}
	return true
}

// known reports whether there is such a kind, and fails at n if not.
func (d *document) known(kind string, n *yaml.Node) bool {
	if _, ok := d.kinds[kind]; ok {
		return true
	}
	names := slices.Sorted(maps.Keys(d.kinds))
	d.fail(at(n), d.didYouMean(kind, "kinds", names), "unknown kind %q", brief(kind))
	return false
}
