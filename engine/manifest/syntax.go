package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

const begin = "begin with graph: and a name, then resources:"

// compose returns the root of the one document that the text holds, or nil after a report.
func (r *report) compose(text []byte) *yaml.Node {
	if !r.checkText(text) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		r.fail(position{}, "", "%v", err)
		return nil
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) {
		r.fail(position{1, 1}, begin, "the file is empty")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		r.fail(at(&second), "keep one graph in each file", "a second document begins here")
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
		return nil
	}
	if len(first.Content) != 1 || isNull(first.Content[0]) {
		r.fail(position{1, 1}, begin, "the file is empty")
		return nil
	}
	return first.Content[0]
}

// syntax reports an error of the YAML reader in words for people. What surrounds it is not yet
// understood, so nothing of it is shown that might be a secret.
func (r *report) syntax(err error) {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		r.fail(position{1, 1}, "", "the file is not valid YAML: %v", err)
		return
	}
	p := position{max(1, e.Mark.Line), max(1, e.Mark.Column)}
	if strings.Contains(e.Message, "unexpected end of stream") && e.ContextMark.Line > 0 {
		p = position{e.ContextMark.Line, e.ContextMark.Column}
	}
	if last := len(r.lines); p.line > last { // the reader sees a line behind the last
		p = position{last, len([]rune(r.lines[last-1])) + 1}
	}
	r.hideUnread(p.line)
	message, hint := r.explain(e, p)
	r.fail(p, hint, "%s", message)
}

// explanations say what is meant by messages of the YAML reader, and what to do.
var explanations = []struct{ part, message, hint string }{
	{"tab character", "a tab indents this line", "indent with spaces"},
	{"mapping values are not allowed", "a key is not expected here",
		`check the indentation; a value with ": " in it needs quotes`},
	{"did not find expected key", "a key was expected here",
		"check the indentation, and that every quote and bracket is closed"},
	{"did not find expected '-'", "another list item was expected here",
		"check the indentation: the items of a list begin with - in one column"},
	{"expected ',' or", "a comma or the closing bracket was expected here",
		"close the list or map, put a comma between its items, or quote an item with brackets in it"},
	{"did not find expected node content", "a value was expected here",
		"check that every bracket is closed, and put a value that begins with , ] or } into quotes"},
	{"unexpected end of stream", "the quote that begins here is not closed", "close it"},
	{"could not find expected ':'", "a key without a value", `write "key: value"`},
	{"unknown anchor", "an alias to an anchor that is not defined before it",
		"quote a value that begins with *, or define the anchor with &"},
	{"incompatible YAML document", "a %YAML line for another version of YAML", "take the line away"},
	{"document start", "the text goes on where the document has ended",
		"check the indentation: top-level keys begin in one column"},
}

func (r *report) explain(e *yaml.LoadError, p position) (message, hint string) {
	if strings.Contains(e.Message, "cannot start any token") {
		switch c := r.runeAt(p); c {
		case '\t':
			return "a tab indents this line", "indent with spaces"
		case 0:
		default:
			return fmt.Sprintf("a value cannot begin with %c", c), "put the value into quotes"
		}
	}
	for _, x := range explanations {
		if strings.Contains(e.Message, x.part) {
			return x.message, x.hint
		}
	}
	message = "the file is not valid YAML: " + e.Message
	if e.ContextMsg != "" {
		message += " " + e.ContextMsg
	}
	return message, "check quotes, brackets and indentation around here"
}

// runeAt returns the character at p, or 0.
func (r *report) runeAt(p position) rune {
	if p.line > len(r.lines) {
		return 0
	}
	if line := []rune(r.lines[p.line-1]); p.column <= len(line) {
		return line[p.column-1]
	}
	return 0
}
