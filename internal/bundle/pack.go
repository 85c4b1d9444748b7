package bundle

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"spore/engine/manifest"
)

// Pack makes a bundle of files and returns it with its digest. The same files make the same bundle,
// whatever their order, dates and owners. It fails if a file is not what it was when it was listed,
// or, with ErrTooLarge, if there is too much.
func Pack(files []manifest.File) (content []byte, digest string, err error) {
	if content, err = pack(files, MaxSize); err != nil {
		return nil, "", fmt.Errorf("pack files: %w", err)
	}
	return content, Digest(content), nil
}

func pack(files []manifest.File, limit int) ([]byte, error) {
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	if total > MaxUnpacked {
		return nil, fmt.Errorf("%w: %d MiB, and at most %d may travel", ErrTooLarge, total>>20, MaxUnpacked>>20)
	}
	if len(files) > maxEntries {
		return nil, fmt.Errorf("%w: %d files, and at most %d may travel", ErrTooLarge, len(files), maxEntries)
	}
	out := bounded{limit: limit}
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	sorted := slices.SortedFunc(slices.Values(files), func(a, b manifest.File) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range sorted {
		if err := add(archive, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func add(archive *tar.Writer, f manifest.File) error {
	h := &tar.Header{Name: f.Name, Mode: int64(f.Mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	switch {
	case f.Mode.IsDir():
		h.Typeflag = tar.TypeDir
	case f.Mode.Type() == fs.ModeSymlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Target
	case f.Mode.IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, f.Size
	default:
		return fmt.Errorf("%v cannot travel", f.Mode.Type())
	}
	if err := archive.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	return addContent(archive, f)
}

// errChanged is returned for a file that somebody writes to: what the graph was checked with, or a
// mixture of old and new, is not to be passed off as it.
var errChanged = errors.New("it has changed since it was read; try again")

func addContent(archive io.Writer, f manifest.File) error {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(archive, h), io.LimitReader(in, f.Size))
	if err != nil {
		return err
	}
	if more, _ := in.Read(make([]byte, 1)); n != f.Size || more > 0 || hex.EncodeToString(h.Sum(nil)) != f.Digest {
		return errChanged
	}
	return nil
}
