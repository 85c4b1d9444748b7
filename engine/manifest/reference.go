package manifest

import (
	"reflect"
	"slices"
	"strings"
)

// scheme begins a string that stands for a secret.
const scheme = "secret://"

func isReference(s string) bool { return strings.HasPrefix(s, scheme) }

// reference notes that the value refers to a secret, and puts that in its place if it is at hand.
func (d *document) reference(x value, v reflect.Value) bool {
	x.res.refers, x.res.sensitive = true, true
	m := d.manifest
	if !slices.ContainsFunc(m.Secrets, func(r Reference) bool { return r.Text == x.Value }) {
		m.Secrets = append(m.Secrets, Reference{Text: x.Value, Line: x.Line, Column: x.Column})
	}
	if d.options.Secrets == nil {
		v.SetString(x.Value)
		return true
	}
	secret, err := d.options.Secrets(x.Value)
	if err != nil {
		d.fail(at(x.Node), "", "%s: %s: %v", x.what, x.field.Name, err)
		return false
	}
	v.SetString(secret)
	return true
}
