package manifest

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"spore/engine"
)

// A value is what the user wrote for a field, and whose field it is.
type value struct {
	*yaml.Node // resolved, not null
	what       string
	field      engine.Field
}

// with returns the value with another node in place of its own, for what is inside of it.
func (x value) with(n *yaml.Node) value {
	x.Node = resolve(n)
	return x
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
		hint = x.field.Name + ": " + x.field.Doc
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

// text takes any scalar as it was written: 0644 stays 0644.
func (d *document) text(x value, v reflect.Value) bool {
	if x.Kind != yaml.ScalarNode || isNull(x.Node) {
		return d.wrong(x, "a string", "put it into quotes, if it is meant as text")
	}
	if len(x.field.Values) > 0 && !slices.Contains(x.field.Values, x.Value) &&
		!(x.Value == "" && x.field.Default == "") {
		d.notAmong(x)
		return false
	}
	v.SetString(x.Value)
	return true
}

func (d *document) notAmong(x value) {
	what := "one of"
	if x.field.Secret {
		d.fail(at(x.Node), "one of: "+strings.Join(x.field.Values, ", "),
			"%s: %s is not one of the values allowed", x.what, x.field.Name)
		return
	}
	d.fail(at(x.Node), d.didYouMean(x.Value, what, x.field.Values), "%s: %s cannot be %q",
		x.what, x.field.Name, brief(x.Value))
}

func (d *document) list(x value, v reflect.Value) bool {
	if x.Kind != yaml.SequenceNode {
		return d.wrong(x, expected(v.Type()), `write it as ["one", "two"]`)
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

// truth takes what YAML 1.1 took, since old files have it.
func (d *document) truth(x value, v reflect.Value) bool {
	if isPlain(x.Node) {
		switch strings.ToLower(x.Value) {
		case "true", "yes", "on":
			v.SetBool(true)
			return true
		case "false", "no", "off":
			v.SetBool(false)
			return true
		}
	}
	return d.wrong(x, "true or false", "write true or false, without quotes")
}

func (d *document) whole(x value, v reflect.Value) bool {
	n, err := strconv.ParseInt(x.Value, 0, v.Type().Bits())
	if !isPlain(x.Node) || err != nil {
		return d.wrong(x, "a whole number", "")
	}
	v.SetInt(n)
	return true
}

func (d *document) number(x value, v reflect.Value) bool {
	f, ok := parseNumber(x.Value)
	if !isPlain(x.Node) || !ok || math.IsInf(f, 0) || v.OverflowFloat(f) {
		return d.wrong(x, "a number", "")
	}
	v.SetFloat(f)
	return true
}

// isPlain reports whether a node is a scalar that is not marked as text by quotes or a tag.
func isPlain(n *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	tagged := n.Style&yaml.TaggedStyle != 0 && n.ShortTag() == "!!str"
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0 && !tagged
}

// parseNumber reads a number as YAML writes it, infinity included.
func parseNumber(text string) (float64, bool) {
	if i, err := strconv.ParseInt(text, 0, 64); err == nil {
		return float64(i), true
	}
	text = strings.Replace(strings.ToLower(text), ".inf", "inf", 1)
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsNaN(f)
}

// duration takes a bare number in the field's unit, or what time.ParseDuration takes.
func (d *document) duration(x value, v reflect.Value) bool {
	unit, word := time.Second, "seconds"
	if x.field.Unit == "ms" {
		unit, word = time.Millisecond, "milliseconds"
	}
	var length time.Duration
	ok := false
	if x.Kind == yaml.ScalarNode {
		if f, isNumber := parseNumber(x.Value); isNumber {
			length, ok = time.Duration(math.Round(f*float64(unit))), math.Abs(f) < float64(math.MaxInt64/unit)
		} else if t, err := time.ParseDuration(x.Value); err == nil {
			length, ok = t, true
		}
	}
	if !ok {
		return d.wrong(x, "a duration", fmt.Sprintf("such as 90s, 1h30m, 250ms, or a bare number of %s", word))
	}
	if length < 0 {
		return d.wrong(x, "a duration of zero or more", "")
	}
	v.SetInt(int64(length))
	return true
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
	d.decode(value{n, what + " (default)", f}, v)
}
