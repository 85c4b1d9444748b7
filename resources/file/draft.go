package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// A draft is a new file, directory or symlink under a temporary name, beside the place it is for.
type draft struct {
	want
	root *os.Root
	name string
	file *os.File // locked, so that no sweep takes it for a left-over; nil for a symlink
}

// write puts what w declares in the place of old, which is nil if nothing is there.
func (w want) write(ctx context.Context, root *os.Root, old fs.FileInfo, drafts *drafts) error {
	d, err := w.draft(root, old)
	if err != nil {
		return fmt.Errorf("write %s: %w", w.path, cause(err))
	}
	defer d.discard()
	if err := d.fill(ctx, old); err != nil {
		return fmt.Errorf("write %s: %w", w.path, cause(err))
	}
	if err := d.commit(ctx, old); errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("write %s: it is a mount point, which cannot be replaced", w.path)
	} else if err != nil {
		return fmt.Errorf("write %s: %w", w.path, cause(err))
	}
	if old == nil || old.IsDir() == (w.typ == fs.ModeDir) {
		return nil
	}
	// Under the draft's name there is now what was here before.
	if err := removeTree(ctx, root, d.name); err != nil {
		drafts.again(root)
		return fmt.Errorf("remove what %s was before: %w", w.path, err)
	}
	return nil
}

// draft makes a draft that nobody may read yet, unless its permissions are up to the umask.
func (w want) draft(root *os.Root, old fs.FileInfo) (*draft, error) {
	perm := w.fresh.Perm()
	if w.mode != nil || sameType(w, old) {
		perm = 0o700
		if w.typ == 0 {
			perm = 0o600
		}
	}
	for {
		d := &draft{want: w, root: root, name: draftName()}
		if err := d.create(perm); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if d.lock() {
			return d, nil
		}
		d.file.Close() // a sweep was faster
	}
}

func sameType(w want, fi fs.FileInfo) bool { return fi != nil && fi.Mode().Type() == w.typ }

func (d *draft) create(perm fs.FileMode) (err error) {
	switch d.typ {
	case fs.ModeSymlink:
		return d.root.Symlink(d.target, d.name)
	case fs.ModeDir:
		if err := d.root.Mkdir(d.name, perm); err != nil {
			return err
		}
		d.file, err = d.root.OpenFile(d.name, os.O_RDONLY|noFollow, 0)
	default:
		d.file, err = d.root.OpenFile(d.name, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, perm)
	}
	return err
}

// lock reports false if a sweep took the draft away before it could be locked.
func (d *draft) lock() bool {
	if d.file == nil {
		return true
	}
	if err := unix.Flock(int(d.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return false
	}
	fi, err := d.root.Lstat(d.name)
	return err == nil && fi.Mode().Type() == d.typ
}

// fill gives the draft its attributes and then its content, which thereby is never seen by anybody
// whom the file is not for.
func (d *draft) fill(ctx context.Context, old fs.FileInfo) error {
	if !sameType(d.want, old) {
		old = nil
	}
	if d.typ == fs.ModeSymlink {
		return d.fillLink(old)
	}
	if old != nil {
		if err := d.inherit(old); err != nil {
			return err
		}
	}
	fi, err := d.file.Stat()
	if err != nil {
		return err
	}
	if err := d.dress(d.file, fi, old); err != nil || d.body == nil {
		return err
	}
	if err := copyBody(ctx, d.file, d.body); err != nil {
		return err
	}
	if fi, err = d.file.Stat(); err != nil {
		return err
	}
	return d.dress(d.file, fi, old) // writing may have cleared setuid and setgid
}

func (d *draft) fillLink(old fs.FileInfo) error {
	uid, gid := -1, -1
	if old != nil {
		uid, gid = owners(old)
	}
	uid, gid = d.owner.or(uid), d.group.or(gid)
	if err := errors.Join(d.owner.err, d.group.err); err != nil || uid == -1 && gid == -1 {
		return err
	}
	return d.root.Lchown(d.name, uid, gid)
}

// inherit copies the extended attributes of old.
func (d *draft) inherit(old fs.FileInfo) error {
	f, err := d.root.OpenFile(filepath.Base(d.path), os.O_RDONLY|noFollow|nonBlock, 0)
	if err != nil {
		return fmt.Errorf("read what is to be kept: %w", cause(err))
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(now, old) {
		return errors.New("it was replaced meanwhile")
	}
	return copyXattrs(d.file, f)
}

func copyBody(ctx context.Context, to io.Writer, b body) error {
	from, err := b.open()
	if err != nil {
		return err
	}
	defer from.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(to, from, chunk); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// commit renames the draft into its place, from where it takes old away.
func (d *draft) commit(ctx context.Context, old fs.FileInfo) error {
	if d.typ == 0 {
		// Otherwise a crash of the host could leave an empty file under the final name.
		if err := d.file.Sync(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	name := filepath.Base(d.path)
	if old == nil || old.IsDir() == (d.typ == fs.ModeDir) {
		return d.root.Rename(d.name, name)
	}
	return d.swap(name)
}

// swap exchanges the draft with name, of which one is a directory.
func (d *draft) swap(name string) error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if done, err := exchange(dir, d.name, name); done || err != nil {
		return err
	}
	aside := draftName()
	if err := d.root.Rename(name, aside); err != nil {
		return err
	}
	if err := d.root.Rename(d.name, name); err != nil {
		return errors.Join(err, d.root.Rename(aside, name))
	}
	return d.root.Rename(aside, d.name)
}

// discard takes the draft away, unless it was committed.
func (d *draft) discard() {
	if d.file != nil {
		d.file.Close()
	}
	fi, err := d.root.Lstat(d.name)
	if err == nil && fi.Mode().Type() == d.typ {
		_ = d.root.Remove(d.name) // else the next sweep does
	}
}

const draftPrefix, draftSuffix = ".spore-", ".tmp"

func draftName() string { return draftPrefix + rand.Text()[:16] + draftSuffix }
