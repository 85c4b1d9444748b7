package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"spore/engine"
)

// isDescribed holds for kinds of which a reference can be generated.
func isDescribed(_ context.Context, s *subject) error {
	err := sentence("the kind's doc", s.Kind.Doc)
	if s.Kind.Name == "" {
		err = errors.Join(err, errors.New("the kind has no name"))
	}
	seen := map[string]bool{}
	for _, f := range s.Kind.Fields() {
		err = errors.Join(err, sentence("the doc of "+f.Name, f.Doc))
		if seen[f.Name] {
			err = errors.Join(err, fmt.Errorf("two fields are named %s", f.Name))
		}
		seen[f.Name] = true
		if f.Values != nil && f.Default != "" && !slices.Contains(f.Values, f.Default) {
			err = errors.Join(err, fmt.Errorf("the default of %s, %q, is none of its values", f.Name, f.Default))
		}
		if f.Unit != "" && f.Unit != "s" && f.Unit != "ms" {
			err = errors.Join(err, fmt.Errorf("the unit of %s is %q, want s or ms", f.Name, f.Unit))
		}
		if isDuration := f.Type == reflect.TypeFor[engine.Duration](); f.Unit != "" && !isDuration {
			err = errors.Join(err, fmt.Errorf("%s has a unit but is a %v", f.Name, f.Type))
		}
	}
	return err
}

func sentence(what, text string) error {
	first, _ := utf8.DecodeRuneInString(text)
	if unicode.IsLower(first) || !strings.HasSuffix(text, ".") {
		return fmt.Errorf("%s is not a sentence: %q", what, text)
	}
	return nil
}

func survivesJSON(_ context.Context, s *subject) error {
	zero := s.Kind.Spec(s.Kind.New())
	for _, spec := range []engine.Spec{zero, s.Spec} {
		text, err := json.Marshal(spec)
		if err != nil {
			return fmt.Errorf("marshal: %w", err)
		}
		back, err := s.Kind.DecodeJSON(text)
		if err != nil {
			return err
		}
		if err := same("the spec read back from "+string(text), back, spec); err != nil {
			return err
		}
	}
	return nil
}

// validates holds if Validate takes the fixture's spec, refuses values that are none of a field's,
// names only fields that exist, and panics on nothing.
func validates(_ context.Context, s *subject) error {
	before := s.State()
	if err := s.Spec.Validate(); err != nil {
		return fmt.Errorf("validate the fixture's spec: %w", err)
	}
	names := map[string]bool{"": true}
	for _, f := range s.Kind.Fields() {
		names[f.Name] = true
	}
	zero := reflect.Zero(reflect.TypeOf(s.Spec))
	if err := validateOdd(zero, names); err != nil {
		return err
	}
	for _, f := range s.Kind.Fields() {
		for _, base := range []reflect.Value{zero, reflect.ValueOf(s.Spec)} {
			for _, odd := range oddValues(f.Type) {
				if err := validateOdd(with(base, f.Index, odd), names); err != nil {
					return err
				}
			}
		}
		if f.Values == nil || f.Ignored || f.Type.Kind() != reflect.String {
			continue
		}
		none := reflect.ValueOf("no such value").Convert(f.Type)
		if with(reflect.ValueOf(s.Spec), f.Index, none).Interface().(engine.Spec).Validate() == nil {
			return fmt.Errorf("validate takes a %s that is none of %q", f.Name, f.Values)
		}
	}
	return same("the state after validate", s.State(), before)
}

// with returns a copy of the struct base that has value at index.
func with(base reflect.Value, index int, value reflect.Value) reflect.Value {
	v := reflect.New(base.Type()).Elem()
	v.Set(base)
	v.Field(index).Set(value)
	return v
}

// validateOdd validates one spec, right or wrong, and judges what Validate says.
func validateOdd(v reflect.Value, names map[string]bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a panic over %+v: %v", v.Interface(), p)
		}
	}()
	spec := v.Interface().(engine.Spec)
	for _, name := range []string{"", "name", "/a/b/", "a\x00b", "\xff"} {
		spec := spec
		if named, ok := spec.(engine.Named); ok {
			spec = named.WithName(name)
		}
		if err := judge(spec.Validate(), names); err != nil {
			return fmt.Errorf("validate %+v: %w", spec, err)
		}
	}
	return nil
}

// judge fails unless err is what Validate may return: a FieldError of an existing field, or several
// joined.
func judge(err error, names map[string]bool) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if err := judge(e, names); err != nil {
				return err
			}
		}
		return nil
	}
	field, ok := errors.AsType[*engine.FieldError](err)
	if !ok {
		return fmt.Errorf("%q is not a FieldError", err)
	}
	if !names[field.Field] {
		return fmt.Errorf("%q is about %q, which is no field", err, field.Field)
	}
	return nil
}

// oddValues returns values of type t at the edges of what it can hold.
func oddValues(t reflect.Type) []reflect.Value {
	switch t.Kind() {
	case reflect.String:
		return convert(t, "", "x", "/", "../..", "a\x00b", "\xff\xfe", "-1", strings.Repeat("long", 1<<12), "ünï cödé\n")
	case reflect.Bool:
		return convert(t, false, true)
	case reflect.Int, reflect.Int64:
		return convert(t, int64(math.MinInt64), int64(-1), int64(0), int64(1), int64(math.MaxInt64))
	case reflect.Float64:
		return convert(t, math.Inf(-1), -1.0, 0.0, math.NaN(), math.Inf(1))
	case reflect.Pointer:
		odd := []reflect.Value{reflect.Zero(t)}
		for _, v := range oddValues(t.Elem()) {
			p := reflect.New(t.Elem())
			p.Elem().Set(v)
			odd = append(odd, p)
		}
		return odd
	case reflect.Slice:
		odd := []reflect.Value{reflect.Zero(t), reflect.MakeSlice(t, 0, 0)}
		for _, v := range oddValues(t.Elem()) {
			odd = append(odd, reflect.Append(reflect.MakeSlice(t, 0, 1), v))
		}
		return odd
	case reflect.Map:
		odd := []reflect.Value{reflect.Zero(t), reflect.MakeMap(t)}
		for _, k := range oddValues(t.Key()) {
			for _, v := range oddValues(t.Elem()) {
				m := reflect.MakeMap(t)
				m.SetMapIndex(k, v)
				odd = append(odd, m)
			}
		}
		return odd
	}
	return []reflect.Value{reflect.Zero(t)}
}

func convert[T any](t reflect.Type, values ...T) []reflect.Value {
	odd := make([]reflect.Value, len(values))
	for i, v := range values {
		odd[i] = reflect.ValueOf(v).Convert(t)
	}
	return odd
}
