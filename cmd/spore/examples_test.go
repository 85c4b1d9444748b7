package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"spore/engine"
	"spore/internal/fleet"
)

// examples are the graph files in examples/ that are for the machine they run on, with some of what
// they make, below the directory that they all work in. "" is any content.
var examples = map[string]map[string]string{
	"hello.yaml":      {"motd": "This file is kept by spore: change it, or remove it, and see.\n"},
	"tree.yaml":       {"www/css/site.css": "h1 { color: green }\n", "www/index.html": ""},
	"service.yaml":    {"app.conf": "", "data/version": "2\n", "log": "reloaded with 127.0.0.1:8080\n"},
	"timer.yaml":      {"heartbeat": ""},
	"meta.yaml":       {"polled": "", "first": "", "second": "", "watched": ""},
	"kv.yaml":         {},
	"compatible.yaml": {"compatible": ""},
}

// remoteExamples are those that name hosts, with how many.
var remoteExamples = map[string]int{"fleet.yaml": 4, "remote2a.yaml": 1, "remote2b.yaml": 1}

const exampleDir = "/tmp/spore-example"

// sandbox copies examples/ to a directory of the test's own, for which the graphs are rewritten.
func sandbox(t *testing.T) (graphs, work string) {
	t.Helper()
	graphs, work = t.TempDir(), filepath.Join(t.TempDir(), "work")
	if err := os.CopyFS(graphs, os.DirFS(filepath.Join("..", "..", "examples"))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(graphs, "*.yaml"))
	if err != nil || len(files) != len(examples)+len(remoteExamples) {
		t.Fatalf("%d examples (%v), want each to be tested: %v", len(files), err, files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), exampleDir, work))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return graphs, work
}

// Every example converges, says nothing but what it changes, and makes what it promises.
func TestExamples(t *testing.T) {
	for name, made := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			graphs, work := sandbox(t)
			var errs strings.Builder
			code := Main(t.Context(), []string{"run", "--file", filepath.Join(graphs, name), "--converged-timeout", "0"},
				stdio{strings.NewReader(""), io.Discard, &errs})
			if code != exitOK || strings.Contains(errs.String(), "warning") || strings.Contains(errs.String(), "failed") {
				t.Fatalf("ended with %d:\n%s", code, &errs)
			}
			for path, want := range made {
				got, err := os.ReadFile(filepath.Join(work, path))
				if err != nil || want != "" && string(got) != want {
					t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
				}
			}
		})
	}
}

func TestRemoteExamples(t *testing.T) {
	graphs, _ := sandbox(t)
	b := quietBehaviour(t)
	for name, want := range remoteExamples {
		path := filepath.Join(graphs, name)
		var out, errs strings.Builder
		if code := Main(t.Context(), []string{"validate", path}, stdio{strings.NewReader(""), &out, &errs}); code != exitOK || errs.String() != "" {
			t.Errorf("%s: ended with %d:\n%s", name, code, &errs)
		}
		manifests, err := b.load([]string{path})
		if err != nil {
			t.Fatal(err)
		}
		hosts, err := fleet.Hosts(manifests, fleet.Selection{})
		if err != nil || len(hosts) != want {
			t.Errorf("%s is for %d hosts (%v), want %d", name, len(hosts), err, want)
		}
	}
}

// Every kind has an example, and so has every meta-parameter.
func TestExamplesShowEverything(t *testing.T) {
	graphs, _ := sandbox(t)
	all := ""
	files, _ := filepath.Glob(filepath.Join(graphs, "*.yaml"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	for kind := range quietBehaviour(t).kinds {
		if !strings.Contains(all, "\n  "+kind+":\n") {
			t.Errorf("no example shows the kind %s", kind)
		}
	}
	for _, f := range engine.FieldsOf(reflect.TypeFor[engine.Meta]()) {
		if !strings.Contains(all, "\n      "+f.Name+":") {
			t.Errorf("no example shows the meta-parameter %s", f.Name)
		}
	}
}

func quietBehaviour(t *testing.T) behaviour {
	b := newBehaviour(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { b.hub.Close() })
	return b
}
