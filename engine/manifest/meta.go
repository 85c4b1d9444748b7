package manifest

import (
	"math"
	"reflect"

	"spore/engine"
)

// meta reads the meta-parameters of a resource.
func (d *document) meta(res *resource, e entry) {
	what := res.String() + ": meta"
	// Meta-parameters have names of their own, which say nothing of the spec's fields.
	own := &resource{ref: res.ref, suspect: map[string]bool{}}
	f := d.structFields(own, what, reflect.ValueOf(&res.meta).Elem(), engine.FieldsOf(reflect.TypeFor[engine.Meta]()))
	for _, name := range []string{"autoedge", "autogroup"} {
		f[name] = func(e entry) { d.warn(at(e.key), "take it away", "%s: %s has no effect", what, name) }
	}
	limit := f["limit"]
	f["limit"] = func(e entry) {
		if rate, ok := parseNumber(e.value.Value); !ok || !math.IsInf(rate, 1) { // .inf is without limit, as 0 is
			limit(e)
		}
	}
	entries := d.entries(e.value, what)
	d.read(entries, what, f)
	for _, e := range entries {
		d.checkMeta(what, res.meta, e)
	}
}

// checkMeta reports what is wrong with a meta-parameter of the right type.
func (d *document) checkMeta(what string, m engine.Meta, e entry) {
	switch {
	case e.name == "retry" && m.Retry < -1:
		d.fail(at(e.value), "-1 is for ever, 0 is never", "%s: retry cannot be %d", what, m.Retry)
	case e.name == "limit" && m.Limit < 0:
		d.fail(at(e.value), "0 is without limit", "%s: limit cannot be negative", what)
	case e.name == "burst" && m.Burst < 0:
		d.fail(at(e.value), "how many runs may exceed the limit at once", "%s: burst cannot be negative", what)
	case e.name == "sema" && len(m.Sema) == len(e.value.Content):
		for i, sema := range m.Sema {
			if _, _, err := engine.ParseSema(sema); err != nil {
				d.fail(at(resolve(e.value.Content[i])), `write name:count with a count of 1 or more, as in "lock:1"`,
					"%s: sema: %q is not a semaphore", what, brief(sema))
			}
		}
	}
}
