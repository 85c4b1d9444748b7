package manifest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

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
		for _, err := range flatten(s.Exportable()) {
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
	if d.tells(res, message) || res.refers && d.options.Secrets != nil {
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
			return hintOf(f)
		}
	}
	return ""
}

// hintOf says what a field is, in the first sentence of what its kind says.
func hintOf(f engine.Field) string {
	doc, _, more := strings.Cut(f.Doc, ". ")
	if more {
		doc += "."
	}
	return f.Name + ": " + doc
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
