package manifest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

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
	if isReference(x.Value) && x.res != nil {
		return d.reference(x, v)
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
