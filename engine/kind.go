package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// A Kind joins a type of Spec to the behaviour that keeps it. Kinds are values; the list of those
// that exist is resources.Kinds.
type Kind struct {
	Name string
	Doc  string // one sentence
	// Pulse says that every edge from a resource of this kind notifies, as a timer's does.
	Pulse bool

	spec reflect.Type
	open func(name string, spec Spec, env Env) (Resource, error)
}

// NewKind returns the kind called name, whose specs are of type S, a struct, and whose resources
// open makes. open touches nothing outside the process.
func NewKind[S Spec](name, doc string, open func(name string, spec S, env Env) (Resource, error)) Kind {
	return Kind{
		Name: name,
		Doc:  doc,
		spec: reflect.TypeFor[S](),
		open: func(name string, spec Spec, env Env) (Resource, error) {
			s, ok := spec.(S)
			if !ok {
				return nil, fmt.Errorf("open: spec is %T, want %T", spec, s)
			}
			return open(name, s, env)
		},
	}
}

// Open makes the behaviour of one resource.
func (k Kind) Open(name string, spec Spec, env Env) (Resource, error) {
	return k.open(name, spec, env)
}

// New returns a pointer to a zero spec, for a decoder to fill; see [Kind.Spec].
func (k Kind) New() reflect.Value { return reflect.New(k.spec) }

// Spec returns the spec that a pointer made by New points to.
func (k Kind) Spec(ptr reflect.Value) Spec { return ptr.Elem().Interface().(Spec) }

// DecodeJSON returns the spec that text holds, unknown fields refused.
func (k Kind) DecodeJSON(text []byte) (Spec, error) {
	ptr := k.New()
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(ptr.Interface()); err != nil {
		return nil, fmt.Errorf("decode %s: %w", k.Name, err)
	}
	return k.Spec(ptr), nil
}

// A Field describes one field of a spec, read from its struct tags.
type Field struct {
	Name    string       // tag json; fields without one are not the user's
	Doc     string       // tag doc: a sentence
	Default string       // tag default: what an absent field means
	Values  []string     // tag enum: the only values, comma-separated in the tag
	Unit    string       // tag unit: what a bare number of a Duration counts, "s" (or none) or "ms"
	Secret  bool         // tag secret:"true": never shown
	Ignored bool         // tag ignored:"true": accepted with a warning, has no effect
	Type    reflect.Type // the Go type
	Index   int          // of the struct field
}

// Fields lists the fields of the kind's spec in the order they are declared.
func (k Kind) Fields() []Field { return FieldsOf(k.spec) }

// FieldsOf lists the tagged fields of a struct type.
func FieldsOf(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || f.Tag.Get("doc") == "" {
			continue
		}
		field := Field{
			Name: name, Doc: f.Tag.Get("doc"), Default: f.Tag.Get("default"), Unit: f.Tag.Get("unit"),
			Secret: f.Tag.Get("secret") == "true", Ignored: f.Tag.Get("ignored") == "true",
			Type: f.Type, Index: i,
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			field.Values = strings.Split(enum, ",")
		}
		fields = append(fields, field)
	}
	return fields
}

// Kinds are the kinds that a program may use, by name.
type Kinds map[string]Kind

// NewKinds returns the kinds by name. It panics if two have the same name.
func NewKinds(kinds ...Kind) Kinds {
	m := make(Kinds, len(kinds))
	for _, k := range kinds {
		if _, dup := m[k.Name]; dup {
			panic("engine: two kinds named " + k.Name)
		}
		m[k.Name] = k
	}
	return m
}
