package manifest

import (
	"encoding"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// A value is what the user wrote for a field, and whose field it is.
type value struct {
	*yaml.Node // resolved, not null
	what       string
	field      engine.Field
	res        *resource // whose it is; nil outside of resources
}

// with returns the value with another node in place of its own, for what is inside of it.
func (x value) with(n *yaml.Node) value {
	x.Node = resolve(n)
	return x
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
			res.sensitive = res.sensitive || field.Secret
			if !d.decode(value{e.value, what, field, res}, v.Field(field.Index)) {
				res.suspect[field.Name] = true
			}
		}
	}
	return f
}

var durationType = reflect.TypeFor[engine.Duration]()

// decode sets v to the value, or reports why it cannot.
func (d *document) decode(x value, v reflect.Value) bool {
	if v.Type() == durationType {
		return d.duration(x, v)
	}
	if v.Kind() != reflect.Pointer && v.CanAddr() {
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return d.unmarshal(x, u)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		ok := d.decode(x, p.Elem())
		v.Set(p)
		return ok
	case reflect.Slice:
		return d.list(x, v)
	case reflect.Map:
		return d.mapOf(x, v)
	case reflect.String:
		return d.text(x, v)
	case reflect.Bool:
		return d.truth(x, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return d.whole(x, v)
	case reflect.Float32, reflect.Float64:
		return d.number(x, v)
	}
	d.fail(at(x.Node), "", "%s: %s cannot be given in a graph file", x.what, x.field.Name)
	return false
}

// wrong reports a value of the wrong type. A secret one is not quoted.
func (d *document) wrong(x value, expected, hint string) bool {
	got := describe(x.Node)
	if x.field.Secret {
		got = typeOf(x.Node)
	}
	if hint == "" {
		hint = hintOf(x.field)
	}
	d.fail(at(x.Node), hint, "%s: %s: expected %s, got %s", x.what, x.field.Name, expected, got)
	return false
}

// expected names a type in an error.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Slice:
		return "a list of " + plural(t.Elem())
	case reflect.Map:
		return "a map of " + plural(t.Elem())
	}
	return "a value"
}

func plural(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "strings"
	}
	return "values"
}

func (d *document) list(x value, v reflect.Value) bool {
	if x.Kind != yaml.SequenceNode {
		return d.wrong(x, expected(v.Type()), `write it as ["one", "two"]`)
	}
	if len(x.Content) == 0 { // as it comes out of JSON, where a spec is exported
		v.SetZero()
		return true
	}
	list := reflect.MakeSlice(v.Type(), len(x.Content), len(x.Content))
	ok := true
	for i, item := range x.Content {
		ok = d.decode(x.with(item), list.Index(i)) && ok
	}
	v.Set(list)
	return ok
}

func (d *document) mapOf(x value, v reflect.Value) bool {
	if x.Kind != yaml.MappingNode || v.Type().Key().Kind() != reflect.String {
		return d.wrong(x, expected(v.Type()), "write each on a line of its own, as key: value")
	}
	if len(x.Content) == 0 {
		v.SetZero()
		return true
	}
	m := reflect.MakeMap(v.Type())
	ok := true
	for _, e := range d.entries(x.Node, x.what+": "+x.field.Name) {
		elem := reflect.New(v.Type().Elem()).Elem()
		if !isNull(e.value) {
			ok = d.decode(x.with(e.value), elem) && ok
		}
		m.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), elem)
	}
	v.Set(m)
	return ok
}

// unmarshal lets a type read its own text.
func (d *document) unmarshal(x value, u encoding.TextUnmarshaler) bool {
	if x.Kind != yaml.ScalarNode || isNull(x.Node) {
		return d.wrong(x, "a value", "")
	}
	if err := u.UnmarshalText([]byte(x.Value)); err != nil {
		if x.field.Secret {
			return d.wrong(x, "another value", "")
		}
		return d.wrong(x, "a value that can be read", err.Error())
	}
	return true
}

// setDefault gives an absent field the value that its tag says, read as though it were written in
// the file.
func (d *document) setDefault(what string, v reflect.Value, f engine.Field) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: f.Default}
	if v.Kind() == reflect.Slice {
		n.Kind, n.Value = yaml.SequenceNode, ""
		for item := range strings.SplitSeq(f.Default, ",") {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: item})
		}
	}
	d.decode(value{n, what + " (default)", f, nil}, v)
}
