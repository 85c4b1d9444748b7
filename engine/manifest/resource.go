package manifest

import (
	"encoding/json"
	"errors"
	"reflect"
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
	if res.exported {
		d.export(res)
	}
}

// structFields returns a field for each of a struct's that is the user's, after it has set their
// defaults.
func (d *document) structFields(res *resource, what string, v reflect.Value, of []engine.Field) fields {
	f := fields{}
	for _, field := range of {
		if field.Default != "" {
			d.setDefault(what, v.Field(field.Index), field)
		}
		f[field.Name] = func(e entry) {
			if field.Ignored {
				d.warn(at(e.key), "take it away", "%s: %s has no effect", what, field.Name)
				return
			}
			if !d.decode(value{e.value, what, field}, v.Field(field.Index)) {
				res.suspect[field.Name] = true
			}
		}
	}
	return f
}

// finish lets the spec take its name and its source, and asks it what else is wrong.
func (d *document) finish(res *resource, spec engine.Spec) engine.Spec {
	if s, ok := spec.(engine.Named); ok {
		spec = s.WithName(res.name)
	}
	if s, ok := spec.(engine.Sourced); ok {
		spec = d.sourced(res, s, spec)
	}
	for _, err := range flatten(spec.Validate()) {
		d.invalid(res, err)
	}
	if s, ok := spec.(engine.Exportable); ok && res.exported {
		if err := s.Exportable(); err != nil {
			d.invalid(res, err)
		}
	}
	return spec
}

// sourced lets a spec with a relative source read from where that is.
func (d *document) sourced(res *resource, s engine.Sourced, spec engine.Spec) engine.Spec {
	source := s.Source()
	if source == "" || strings.HasPrefix(source, "/") {
		return spec
	}
	path, digest, err := d.sources.add(source)
	if err != nil {
		d.invalid(res, &engine.FieldError{Field: "source", Err: err})
		res.suspect["source"] = true
		return spec
	}
	return s.WithSource(path, digest)
}

// flatten returns the errors that were joined.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// invalid reports an error of the spec on the line of the field that it blames, unless something
// was said of that field already.
func (d *document) invalid(res *resource, err error) {
	place, message, hint := res.place, err.Error(), ""
	fe, ok := errors.AsType[*engine.FieldError](err)
	switch {
	case ok && fe.Field != "":
		if res.suspect[fe.Field] {
			return
		}
		if e, ok := res.given(fe.Field); ok {
			place = at(e.value)
		}
		hint = d.fieldDoc(res.kind, fe.Field)
	case len(res.suspect) > 0:
		return
	}
	if d.tells(res, message) {
		message = "is not valid; the reason would tell a secret"
		if ok {
			message = fe.Field + ": " + message
		}
	}
	d.fail(place, hint, "%s: %s", res.String(), message)
}

// fieldDoc says what a field is.
func (d *document) fieldDoc(kind, name string) string {
	for _, f := range d.kinds[kind].Fields() {
		if f.Name == name {
			return name + ": " + f.Doc
		}
	}
	return ""
}

// tells reports whether a text gives away the value of a secret field.
func (d *document) tells(res *resource, text string) bool {
	for _, name := range secretsOf(d.kinds[res.kind]) {
		if e, ok := res.given(name); ok && slices.ContainsFunc(scalars(e.value), func(s string) bool {
			return s != "" && strings.Contains(text, s)
		}) {
			return true
		}
	}
	return false
}

// scalars returns the texts of all scalars in a node.
func scalars(n *yaml.Node) []string {
	n = resolve(n)
	texts := []string{n.Value}
	for _, child := range n.Content {
		texts = append(texts, scalars(child)...)
	}
	return texts
}

// export offers a resource to the other hosts.
func (d *document) export(res *resource) {
	text, err := json.Marshal(res.spec)
	if err != nil {
		d.fail(res.place, "", "%s: cannot be exported: %v", res, err)
		return
	}
	if len(text) > MaxSize {
		d.fail(res.place, "", "%s: cannot be exported: it is larger than 1 MiB", res)
		return
	}
	d.manifest.Program.Exports = append(d.manifest.Program.Exports, engine.Export{
		Kind: res.kind, Name: res.name, Meta: res.meta, Spec: text,
	})
}
