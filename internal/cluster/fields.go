package cluster

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"

	"spore/engine"
	"spore/internal/secret"
)

const (
	longestValue = 60       // characters of a value that is shown on its field's line
	diffable     = 64 << 10 // bytes of a text of which a diff is made
)

// fields returns in which of these fields two structs of one type differ. Of secret ones, or all if
// sensitive is set, it is not said how; nor are contents shown that not everybody may read.
func fields(list []engine.Field, a, b any, sensitive bool) (changes []engine.Change) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Type() != y.Type() {
		return []engine.Change{{Field: "spec"}}
	}
	hidden := private(list, x) || private(list, y)
	for _, f := range list {
		from, to := x.Field(f.Index), y.Field(f.Index)
		switch {
		case reflect.DeepEqual(from.Interface(), to.Interface()):
		case f.Secret || sensitive || hidden && f.Name == "content":
			changes = append(changes, engine.Change{Field: f.Name, From: concealed(from), To: concealed(to)})
		default:
			changes = append(changes, change(f.Name, text(from), text(to)))
		}
	}
	if len(changes) == 0 && !reflect.DeepEqual(a, b) {
		changes = append(changes, engine.Change{Field: "what travels with it"})
	}
	return changes
}

// private says that the fields declare what not everybody may read.
func private(list []engine.Field, v reflect.Value) bool {
	for _, f := range list {
		if mode := v.Field(f.Index); f.Name == "mode" && mode.Kind() == reflect.String && mode.Len() > 0 {
			n, err := strconv.ParseUint(mode.String(), 8, 32)
			return err == nil && n&0o004 == 0
		}
	}
	return false
}

func concealed(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	return secret.Redacted
}

// text is how a value reads; empty if there is none.
func text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
		if v.Kind() == reflect.String && v.Len() == 0 {
			return `""`
		}
	} else if v.IsZero() {
		return ""
	}
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i))
		}
		return strings.Join(items, ", ")
	}
	return fmt.Sprint(v.Interface())
}

// change tells of two texts: the long ones by their length, and their diff.
func change(field, from, to string) engine.Change {
	c := engine.Change{Field: field, From: brieflyPut(from), To: brieflyPut(to)}
	if c.From == from && c.To == to {
		return c
	}
	if len(from) <= diffable && len(to) <= diffable && utf8.ValidString(from) && utf8.ValidString(to) {
		c.Diff = udiff.Unified("store", "new", ended(from), ended(to))
	}
	return c
}

// brieflyPut is the text itself if that is short.
func brieflyPut(text string) string {
	lines := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1
	switch {
	case lines > 1:
		return fmt.Sprintf("(%d lines)", lines)
	case utf8.RuneCountInString(text) > longestValue:
		return fmt.Sprintf("(%d characters)", utf8.RuneCountInString(text))
	}
	return strings.TrimSuffix(text, "\n")
}

// ended is text with a line end: whether there is one is not what people want to be told.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
