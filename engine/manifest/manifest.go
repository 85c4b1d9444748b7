package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"spore/engine"
)

// MaxSize is the size in bytes of the largest graph file: it travels through the store.
const MaxSize = 1 << 20

// Options say what a graph file may contain.
type Options struct {
	Kinds engine.Kinds
	// Secrets returns what a reference such as secret://env/NAME stands for in a graph file that lies
	// in dir. Without it references are left as they are.
	Secrets func(dir, reference string) (string, error)
}

// A Manifest is one graph file, understood.
type Manifest struct {
	File     string // as it was given
	Name     string // the graph's; without one, the file's base name without its extension
	Comment  string
	Hostname string // the host's name in the exchange; may be empty
	Text     []byte // the file as read
	Travels  []byte // Text as hosts get it: with * in the place of the passwords in its addresses
	Remotes  []Remote
	Program  *engine.Program
	// Files are what travels with the graph: all that lies under its relative sources, ordered by
	// name.
	Files    []File
	Warnings Diagnostics
	// Secrets are what the references in it stand for.
	Secrets Secrets
}

// Secrets are values by the references that stand for them. They print as a number.
type Secrets map[string]string

func (s Secrets) String() string { return fmt.Sprintf("%d secrets", len(s)) }

// GoString is String.
func (s Secrets) GoString() string { return s.String() }

// A Remote is one host for which the graph is meant. The syntax of its address is not looked at.
type Remote struct {
	Address      string
	Line, Column int
}

// A File is a file, a directory or a symbolic link that travels with a graph.
type File struct {
	Name   string      // with slashes, relative to the directory of the graph file
	Path   string      // absolute, on this machine
	Mode   fs.FileMode // type and permissions
	Size   int64       // in bytes; of files only
	Digest string      // SHA-256 of the content in hex; of files only
	Target string      // what a symbolic link says; of those only
}

// Digest returns a digest of all that makes the graph what it is, Travels and Files, as hex. It tells
// nothing of the passwords in Text, not even to who guesses.
func (m *Manifest) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s", len(m.Travels), m.Travels)
	for _, f := range m.Files {
		f.describe(h, f.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}
