package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// sources reads what lies under the relative sources of one graph file. Nothing outside the
// directory of that file can be reached, symbolic links or not.
type sources struct {
	dir   string
	root  *os.Root
	files map[string]File
}

func newSources(file string) *sources {
	return &sources{dir: filepath.Dir(file), files: map[string]File{}}
}

func (s *sources) close() {
	if s.root != nil {
		s.root.Close()
	}
}

// list returns the files by name.
func (s *sources) list() []File {
	files := slices.Collect(maps.Values(s.files))
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return files
}

// add takes a relative source along. It returns its absolute path, which ends with a slash if the
// source does, and a digest of all that is in it.
func (s *sources) add(source string) (abs, digest string, err error) {
	name := path.Clean(source)
	if name == "." {
		return "", "", errors.New("it cannot be the directory of the graph file itself")
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", "", errors.New("it leads out of the directory of the graph file")
	}
	if err := s.open(); err != nil {
		return "", "", err
	}
	info, err := s.root.Stat(name)
	if err != nil {
		return "", "", s.explain(name, err)
	}
	if strings.HasSuffix(source, "/") && !info.IsDir() {
		return "", "", fmt.Errorf("%s is not a directory, but ends with a slash", name)
	}
	h := sha256.New()
	if err := s.tree(h, name, ".", info); err != nil {
		return "", "", s.explain(name, err)
	}
	abs = filepath.Join(s.dir, filepath.FromSlash(name))
	if strings.HasSuffix(source, "/") {
		abs += string(filepath.Separator)
	}
	return abs, hex.EncodeToString(h.Sum(nil)), nil
}

// open makes dir absolute and opens it, once.
func (s *sources) open() error {
	if s.root != nil {
		return nil
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("find the directory of the graph file: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the directory of the graph file: %w", cause(err))
	}
	s.dir, s.root = dir, root
	return nil
}

// explain turns an error of the file system into one that says what is wrong with the source.
func (s *sources) explain(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %q in the directory of the graph file", name)
	case strings.Contains(err.Error(), "path escapes"):
		return errors.New("it leads out of the directory of the graph file through a symbolic link")
	}
	return err
}

// tree takes along the file, directory or link called name and all below it, and writes into h
// what it is, under the name that it has within its source.
func (s *sources) tree(h io.Writer, name, within string, info fs.FileInfo) error {
	f, err := s.file(name, info)
	if err != nil {
		return err
	}
	if old, ok := s.files[name]; ok && old.Mode.Type() != f.Mode.Type() {
		return fmt.Errorf("%s is a symbolic link within another source; name what it points to", name)
	}
	s.files[name] = f
	f.describe(h, within)
	if !info.IsDir() {
		return nil
	}
	names, err := s.names(name)
	if err != nil {
		return err
	}
	for _, base := range names {
		child := path.Join(name, base)
		info, err := s.root.Lstat(child)
		if err != nil {
			return fmt.Errorf("look at %s: %w", child, cause(err))
		}
		if err := s.tree(h, child, path.Join(within, base), info); err != nil {
			return err
		}
	}
	return nil
}

// names lists a directory in a stable order.
func (s *sources) names(dir string) ([]string, error) {
	d, err := s.root.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, cause(err))
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, cause(err))
	}
	slices.Sort(names)
	return names, nil
}

// file describes one file, directory or link. Only the permissions and the type of its mode count:
// the rest does not survive the way to a host.
func (s *sources) file(name string, info fs.FileInfo) (File, error) {
	f := File{
		Name: name,
		Path: filepath.Join(s.dir, filepath.FromSlash(name)),
		Mode: info.Mode() & (fs.ModePerm | fs.ModeType),
	}
	var err error
	switch {
	case f.Mode.IsDir():
	case f.Mode.IsRegular():
		f.Digest, f.Size, err = s.hash(name)
	case f.Mode.Type() == fs.ModeSymlink:
		f.Mode = fs.ModeSymlink | fs.ModePerm // what links have differs from system to system
		f.Target, err = s.root.Readlink(name)
	default:
		err = errors.New("neither a file, nor a directory, nor a symbolic link")
	}
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", name, cause(err))
	}
	return f, nil
}

// hash returns the SHA-256 of a file's content and its size.
func (s *sources) hash(name string) (digest string, size int64, err error) {
	f, err := s.root.Open(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}
