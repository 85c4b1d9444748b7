package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"spore/engine"
)

// forecast has a check tell what an apply would run into: a dry run learns of it in no other way. It
// fails where the changes cannot be made, and says in the first of them what has to be there before.
func (r *resource) forecast(w want, changes []engine.Change) error {
	if from, ok := w.body.(copied); ok {
		if err := unix.Access(from.path, unix.R_OK); err != nil {
			return fmt.Errorf("source: read %s: %w", from.path, err)
		}
	}
	if w.label == "" && changes[0].Field == "state" {
		changes[0].To += r.awaited(w)
	}
	return r.mayWrite(w.path, changes)
}

// awaited names what a new file needs and what others may yet make.
func (r *resource) awaited(w want) string {
	var missing []string
	dir := filepath.Dir(w.path)
	if !isDirectory(dir) && !r.claims.has(dir) {
		missing = append(missing, "directory "+dir)
	}
	if w.owner.err != nil {
		missing = append(missing, "owner "+w.owner.name)
	}
	if w.group.err != nil {
		missing = append(missing, "group "+w.group.name)
	}
	if missing == nil {
		return ""
	}
	return " (needs " + strings.Join(missing, ", ") + ")"
}

// mayWrite fails if the directory of path cannot be written to, and nobody is there to mend that.
func (r *resource) mayWrite(path string, changes []engine.Change) error {
	dir := filepath.Dir(path)
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	switch {
	case errors.Is(err, syscall.EROFS):
	case errors.Is(err, fs.ErrPermission) && isDirectory(dir) && !r.claims.has(dir) && !inPlace(changes):
	default:
		return nil
	}
	return fmt.Errorf("write in %s: %w", dir, err)
}

func isDirectory(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// inPlace reports whether the changes are of attributes, which take no new file.
func inPlace(changes []engine.Change) bool {
	for _, c := range changes {
		if c.Field != "owner" && c.Field != "group" && c.Field != "mode" {
			return false
		}
	}
	return true
}
