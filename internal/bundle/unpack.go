package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Unpack makes dir hold the files of the bundle with this digest, all of them or nothing. If dir is
// there, it is taken for just that. The directory that dir is in has to be there.
func Unpack(content []byte, digest, dir string) error {
	if err := unpack(content, digest, dir); err != nil {
		return fmt.Errorf("unpack files: %w", err)
	}
	return nil
}

func unpack(content []byte, digest, dir string) (err error) {
	if len(content) > MaxSize {
		return ErrTooLarge
	}
	if Digest(content) != digest {
		return errors.New("they are not what they were when they were packed")
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	if err := fill(temporary, content); err != nil {
		return err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// A tree is a directory that is being filled. Its root lets nothing out, by symbolic link or name.
type tree struct {
	root  *os.Root
	left  int64         // bytes that files may still have
	modes []fs.FileMode // of dirs
	dirs  []string
}

func fill(dir string, content []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("read bundle: %w", err)
	}
	t := &tree{root: root, left: MaxUnpacked}
	archive := tar.NewReader(zip)
	for n := 0; ; n++ {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return t.finish()
		case err != nil:
			return fmt.Errorf("read bundle: %w", err)
		case n == maxEntries:
			return ErrTooLarge
		}
		if err := t.add(h, archive); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

func (t *tree) add(h *tar.Header, content io.Reader) error {
	name := strings.TrimSuffix(h.Name, "/") // as archives mark directories
	if !filepath.IsLocal(name) || name == "." || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00") {
		return errors.New("a name that no file of a graph has")
	}
	if err := t.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode) & fs.ModePerm
	switch h.Typeflag {
	case tar.TypeDir:
		t.dirs, t.modes = append(t.dirs, name), append(t.modes, mode)
		return t.root.Mkdir(name, 0o700)
	case tar.TypeSymlink:
		return t.root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		return t.file(name, mode, h.Size, content)
	}
	return fmt.Errorf("a file of type %q, which no graph has", h.Typeflag)
}

func (t *tree) file(name string, mode fs.FileMode, size int64, content io.Reader) error {
	if t.left -= size; size < 0 || t.left < 0 {
		return ErrTooLarge
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(mode) // the umask does not count
	}
	if err == nil {
		err = f.Sync() // before the rename: a crash must not leave empty files behind it
	}
	return errors.Join(err, f.Close())
}

// finish gives directories their modes, the innermost first: they need not let anyone write.
func (t *tree) finish() error {
	for i := len(t.dirs) - 1; i >= 0; i-- {
		if err := t.root.Chmod(t.dirs[i], t.modes[i]); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
