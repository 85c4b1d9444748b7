package manifest

import "errors"

var errUnfinished = errors.New("manifest: not built yet")

// Load reads the graph file at path. The error is [Diagnostics].
func Load(path string, o Options) (*Manifest, error) { return nil, errUnfinished }

// LoadAll reads several graph files. The error is [Diagnostics] and holds the mistakes of all of
// them; the manifest of a file with mistakes is nil.
func LoadAll(paths []string, o Options) ([]*Manifest, error) { return nil, errUnfinished }

// Parse understands the text of a graph file. file names it in errors, and its directory is where
// relative sources are looked up. The error is [Diagnostics].
func Parse(file string, text []byte, o Options) (*Manifest, error) { return nil, errUnfinished }
