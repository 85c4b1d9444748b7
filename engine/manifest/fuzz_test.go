package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// addFiles seeds a fuzz test with the graph files in testdata.
func addFiles(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

// FuzzParse checks that any text is either a graph, the same one each time, or gives diagnostics
// that point into it and can be shown.
func FuzzParse(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		const file = "testdata/good/fuzz.yaml"
		m, err := Parse(file, text, options())
		again, errAgain := Parse(file, text, options())
		if !reflect.DeepEqual(m, again) || !reflect.DeepEqual(err, errAgain) {
			t.Fatalf("read twice, it differs: %v, %v", err, errAgain)
		}
		if err == nil {
			checkManifest(t, m)
			return
		}
		ds, ok := errors.AsType[Diagnostics](err)
		if m != nil || !ok || !ds.Failed() {
			t.Fatalf("manifest %v, error %v", m, err)
		}
		for _, d := range ds {
			checkDiagnostic(t, d, splitLines(text))
		}
	})
}

// checkManifest checks what holds of every graph that was read.
func checkManifest(t *testing.T, m *Manifest) {
	order, err := m.Program.Graph.Sort()
	if err != nil || len(order) != m.Program.Graph.Len() {
		t.Fatalf("order %v: %v", order, err)
	}
	kinds := testKinds()
	for _, id := range order {
		n := m.Program.Graph.Vertex(id)
		if n.ID != id || n.Spec == nil || n.Spec.Validate() != nil || id.Name == "" || id.From != "" {
			t.Fatalf("node %+v", n)
		}
	}
	for _, e := range m.Program.Exports {
		if _, err := kinds[e.Kind].DecodeJSON(e.Spec); err != nil || e.Host != "" {
			t.Fatalf("export %+v: %v", e, err)
		}
	}
	if m.Warnings.Failed() {
		t.Fatalf("warnings %v", m.Warnings)
	}
}

// checkDiagnostic checks that a diagnostic points into the text and can be shown on a terminal.
func checkDiagnostic(t *testing.T, d Diagnostic, lines []string) {
	for _, s := range []string{d.Message, d.Hint, d.Source} {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c != '\t' && !unicode.IsPrint(c) }) {
			t.Fatalf("cannot be shown: %q", s)
		}
	}
	if d.Message == "" || d.Line < 0 || d.Line > len(lines)+1 || d.Line > 0 && d.Column < 1 {
		t.Fatalf("diagnostic %+v in %d lines", d, len(lines))
	}
	if n := utf8.RuneCountInString(d.Source); d.Source != "" && (d.Caret < 1 || d.Caret > n+1) || n > 130 {
		t.Fatalf("caret %d in %q", d.Caret, d.Source)
	}
}

// FuzzSecret checks that a secret is never told, whatever follows it.
func FuzzSecret(f *testing.F) {
	for _, rest := range []string{
		"    user: tell\n", "    user: {}\n", "      and more\n    nonsense: 1\n", "@", "\t", "  - name: a\n", "   x\n",
		"    keys: 3\n    slots: x\n", "  : a: b", "edges: [", "resources: {}\n", "    \"", "    'a\n    : b", "    password: b\n",
	} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const secret = "C4N4RY"
		if strings.Contains(rest, secret) {
			t.Skip("the secret stands elsewhere, too")
		}
		text := "resources:\n  vault:\n  - name: v\n    password: " + secret + "\n" + rest
		if _, err := Parse("fuzz.yaml", []byte(text), options()); err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("told:\n%v", err)
		}
	})
}
