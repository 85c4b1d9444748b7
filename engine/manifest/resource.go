package manifest

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// exported begins the name of a resource that is not applied here but offered to other hosts.
const exported = "@@"

// A resource is one entry under resources.
type resource struct {
	ref               // name without @@
	exported bool     // its name began with @@
	place    position // of its name
	meta     engine.Meta
	spec     engine.Spec
	entries  []entry         // the keys it was written with
	suspect  map[string]bool // fields of which something was said already
	// refers says that some field refers to a secret; sensitive, that some field holds one.
	refers, sensitive bool
}

// kindsOf reads the resources. All are declared before any is read, since they name each other.
func (d *document) kindsOf(e entry) {
	var readable []*resource
	for _, k := range d.entries(e.value, "resources") {
		known := d.known(k.name, k.key)
		for _, item := range d.items(k.value, brief(k.name)) {
			res := &resource{suspect: map[string]bool{}}
			res.kind = k.name
			res.entries = d.entries(item, brief(k.name))
			if d.declare(res, item); known && item.Kind == yaml.MappingNode {
				readable = append(readable, res)
			}
		}
	}
	for _, res := range readable {
		d.resource(res)
	}
	d.apart()
}

// apart reports resources that keep what another one keeps: each would undo the other's work.
func (d *document) apart() {
	keepers := map[string]*resource{}
	for _, res := range d.resources {
		l, ok := res.spec.(engine.Located)
		if !ok || res.exported {
			continue
		}
		where, _ := l.Location()
		if first := keepers[where]; first == nil {
			keepers[where] = res
		} else if path.IsAbs(where) { // else that was said already
			d.fail(res.place, "keep one of the two, with all that is declared of it", "%s: %s is kept by %s already, on line %d",
				res, brief(where), brief(first.String()), first.place.line)
		}
	}
}

// declare gives the resource its name and notes that there is one called so, whatever else may be
// wrong with it.
func (d *document) declare(res *resource, item *yaml.Node) {
	e, ok := res.given("name")
	if !ok {
		if item.Kind == yaml.MappingNode && !slices.ContainsFunc(res.entries, misspeltName) {
			d.fail(at(item), "add name:", "%s: a resource without a name", brief(res.kind))
		}
		return
	}
	var full string
	if !d.word(e, brief(res.kind)+": name", &full) {
		return
	}
	res.place = at(e.value)
	name, exports := strings.CutPrefix(full, exported)
	if name == "" {
		d.fail(res.place, `write it behind, as in "@@name"`, "%s: name: an exported resource without a name",
			brief(res.kind))
		return
	}
	res.name, res.exported = name, exports
	if first := d.declared[ref{res.kind, full}]; first != nil {
		d.fail(res.place, "give one of them another name", "%s: the name %q is taken by the resource on line %d",
			brief(res.kind), brief(full), first.place.line)
		return
	}
	d.declared[ref{res.kind, full}] = res
	d.resources = append(d.resources, res)
}

// misspeltName reports whether a key was meant to be name; it will be reported as an unknown key.
func misspeltName(e entry) bool { return e.name != "name" && alike(e.name, "name") }

// given returns the key of that name, if the resource was written with it.
func (res *resource) given(name string) (entry, bool) {
	for _, e := range res.entries {
		if e.name == name && !isNull(e.value) {
			return e, true
		}
	}
	return entry{}, false
}

// resource reads all but the name. Without one, what a spec would make of it is not asked.
func (d *document) resource(res *resource) {
	kind := d.kinds[res.kind]
	what := strings.TrimSuffix(res.String(), "/")
	ptr := kind.New()
	f := d.structFields(res, what, ptr.Elem(), kind.Fields())
	f["name"] = func(entry) {}
	f["meta"] = func(e entry) { d.meta(res, e) }
	f["require"] = func(e entry) { d.linkAll(res, e, link{toSelf: true}) }
	f["before"] = func(e entry) { d.linkAll(res, e, link{}) }
	f["notify"] = func(e entry) { d.linkAll(res, e, link{notify: true}) }
	f["subscribe"] = func(e entry) { d.linkAll(res, e, link{toSelf: true, notify: true}) }
	for _, name := range d.read(res.entries, what, f) {
		res.suspect[name] = true
	}
	if res.name == "" {
		return
	}
	res.spec = d.finish(res, kind.Spec(ptr))
	switch {
	case res.exported && res.sensitive:
		d.fail(res.place, "a secret goes to the hosts whose graphs refer to it, and to no other",
			"%s: a resource that holds a secret cannot be exported", what)
	case res.exported:
		d.export(res)
	}
}
