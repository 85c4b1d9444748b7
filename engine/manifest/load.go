package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Load reads the graph file at path. The error is [Diagnostics].
func Load(path string, o Options) (*Manifest, error) {
	text, err := read(path)
	if err != nil {
		return nil, Diagnostics{{File: path, Message: err.Error(), Hint: hintFor(err)}}
	}
	return Parse(path, text, o)
}

// LoadAll reads several graph files. The error is [Diagnostics] and holds the mistakes of all of
// them; the manifest of a file with mistakes is nil.
func LoadAll(paths []string, o Options) ([]*Manifest, error) {
	var all Diagnostics
	manifests := make([]*Manifest, len(paths))
	for i, path := range paths {
		m, err := Load(path, o)
		if ds, ok := errors.AsType[Diagnostics](err); ok {
			all = append(all, ds...)
		}
		manifests[i] = m
	}
	if len(all) > 0 {
		return manifests, all
	}
	return manifests, nil
}

// Parse understands the text of a graph file. file names it in errors, and its directory is where
// relative sources are looked up: apart from these nothing is read. The error is [Diagnostics].
func Parse(file string, text []byte, o Options) (*Manifest, error) {
	r := newReport(file, text, o.Kinds)
	if root := r.compose(text); root != nil && r.checkTree(root) {
		r.hide(root)
		d := newDocument(r, file, o)
		d.manifest.Text, d.manifest.Travels = text, bytes.Clone(text)
		d.readAll(root)
		if found := r.diagnostics(); !found.Failed() {
			d.manifest.Warnings = found
			return d.manifest, nil
		}
	}
	return nil, r.diagnostics()
}

// read returns what the file holds, if that is little enough to be a graph.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the graph file: %w", cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the graph file: %w", cause(err))
	}
	return text, nil
}

// cause takes the path away from an error, where the diagnostic names it already.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func hintFor(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "check the path; it is looked up from the current directory"
	case errors.Is(err, fs.ErrPermission):
		return "make it readable for the user who runs this"
	case errors.Is(err, syscall.EISDIR):
		return "name a graph file in it"
	}
	return ""
}

// baseName is the file's name without directory and extension.
func baseName(file string) string {
	base := filepath.Base(file)
	return base[:len(base)-len(filepath.Ext(base))]
}
