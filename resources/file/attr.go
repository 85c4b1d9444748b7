package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"spore/engine"
)

// permissions are all the bits of a mode that Spec.Mode declares.
const permissions = fs.ModePerm | special

// A principal is a declared owner or group. The zero principal leaves it alone.
type principal struct {
	name string
	id   int
	err  error // why it has no id
}

func findOwner(name string) principal {
	return find("owner", name, func() (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

func findGroup(name string) principal {
	return find("group", name, func() (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

func find(field, name string, lookup func() (string, error)) principal {
	if name == "" {
		return principal{}
	}
	if id, err := strconv.ParseUint(name, 10, 32); err == nil {
		return principal{name: name, id: int(id)}
	}
	text, err := lookup()
	if err != nil {
		return principal{name: name, err: fmt.Errorf("%s %s does not exist on this host; make it first, or give a number", field, name)}
	}
	id, err := strconv.Atoi(text)
	return principal{name, id, err}
}

// differs reports whether p is declared and is not id.
func (p principal) differs(id int) bool { return p.name != "" && (p.err != nil || p.id != id) }

// or returns the declared id, or else id.
func (p principal) or(id int) int {
	if p.name == "" {
		return id
	}
	return p.id
}

// owners returns the ids of owner and group, which every Unix has.
func owners(fi fs.FileInfo) (uid, gid int) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// checkAttributes reports owner, group and permissions that differ.
func (w want) checkAttributes(fi fs.FileInfo) []engine.Change {
	var changes []engine.Change
	uid, gid := owners(fi)
	if w.owner.differs(uid) {
		changes = append(changes, w.change("owner", userName(uid), w.owner.String()))
	}
	if w.group.differs(gid) {
		changes = append(changes, w.change("group", groupName(gid), w.group.String()))
	}
	if mode := fi.Mode() & permissions; w.mode != nil && w.typ != fs.ModeSymlink && mode != *w.mode {
		changes = append(changes, w.change("mode", octal(mode), octal(*w.mode)))
	}
	return changes
}

func (p principal) String() string {
	if p.err != nil {
		return p.name + " (does not exist yet)"
	}
	return p.name
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}

// setAttributes gives what is at fi's name in root the declared owner, group and permissions.
func (w want) setAttributes(root *os.Root, fi fs.FileInfo) error {
	if len(w.checkAttributes(fi)) == 0 {
		return nil
	}
	if w.typ == fs.ModeSymlink {
		if err := errors.Join(w.owner.err, w.group.err); err != nil {
			return err
		}
		return root.Lchown(fi.Name(), w.owner.or(-1), w.group.or(-1))
	}
	f, err := root.OpenFile(fi.Name(), os.O_RDONLY|noFollow|nonBlock, 0)
	if errors.Is(err, fs.ErrPermission) {
		return w.dress(byName{root, fi.Name()}, fi, nil)
	} else if err != nil {
		return fmt.Errorf("open %s: %w", w.path, cause(err))
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", w.path, cause(err))
	}
	if !os.SameFile(now, fi) {
		return fmt.Errorf("%s was replaced meanwhile", w.path)
	}
	return w.dress(f, now, nil)
}

// dressed is what attributes can be given to.
type dressed interface {
	Chown(uid, gid int) error
	Chmod(mode fs.FileMode) error
}

// byName changes what may not be opened.
type byName struct {
	root *os.Root
	name string
}

func (b byName) Chown(uid, gid int) error     { return b.root.Lchown(b.name, uid, gid) }
func (b byName) Chmod(mode fs.FileMode) error { return b.root.Chmod(b.name, mode) }

// dress gives f, which is as fi says, the declared attributes and, for what is not declared, those
// of old unless that is nil. On the way nobody may do what neither the old nor the new allows.
func (w want) dress(f dressed, fi, old fs.FileInfo) error {
	if err := errors.Join(w.owner.err, w.group.err); err != nil {
		return err
	}
	mode := fi.Mode() & permissions
	uid, gid := owners(fi)
	goal, like := mode, fi
	if old != nil {
		goal, like = old.Mode()&permissions, old
	}
	if w.mode != nil {
		goal = *w.mode
	}
	toUID, toGID := owners(like)
	toUID, toGID = w.owner.or(toUID), w.group.or(toGID)
	chown := uid != toUID || gid != toGID
	if chown {
		if narrow := mode & goal & fs.ModePerm; narrow != mode {
			if err := f.Chmod(narrow); err != nil {
				return fmt.Errorf("set mode of %s: %w", w.path, err)
			}
		}
		if err := f.Chown(toUID, toGID); err != nil {
			return fmt.Errorf("set owner of %s to %s:%s: %w", w.path, userName(toUID), groupName(toGID), cause(err))
		}
	}
	if mode == goal && !chown { // a change of owner may have cleared some
		return nil
	}
	if err := f.Chmod(goal); err != nil {
		return fmt.Errorf("set mode of %s: %w", w.path, err)
	}
	return nil
}

// cause takes the path off an error: it may be a temporary one.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
