package file

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"spore/engine"
	"spore/internal/fswatch/mounts"
)

// Validate reports everything that is wrong with the spec.
func (s Spec) Validate() error {
	path := s.validatePath()
	errs := []error{path, s.validateContent(), s.validateTree(), s.validateAttributes()}
	if path == nil {
		errs = append(errs, s.validateLoss())
	}
	return errors.Join(flat(errs)...)
}

// flat takes joined errors apart.
func flat(errs []error) []error {
	var all []error
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, joined.Unwrap()...)
		} else if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func (s Spec) validatePath() error {
	if s.Basename != "" {
		if err := validName(s.Basename); err != nil {
			return engine.Invalid("basename", "%w", err)
		}
	}
	path := s.path()
	switch field := s.pathField(); {
	case path == "":
		return engine.Invalid("path", "want a path, here or as the resource's name, which must be absolute then")
	case !filepath.IsAbs(path):
		return engine.Invalid(field, "want an absolute path, not %q", path)
	case slices.Contains(strings.Split(path, "/"), ".."):
		return engine.Invalid(field, "want a path without \"..\", not %q", path)
	case strings.ContainsRune(path, 0):
		return engine.Invalid(field, "a path cannot hold a NUL")
	case strings.HasSuffix(path, "/."):
		return engine.Invalid(field, "write the directory as %q", strings.TrimSuffix(path, "."))
	}
	return nil
}

// pathField is the field that is to blame for what the path begins with.
func (s Spec) pathField() string {
	if s.Dirname != "" {
		return "dirname"
	}
	return "path"
}

// validName takes the last name of a path, with or without a trailing slash.
func validName(base string) error {
	name := strings.TrimSuffix(base, "/")
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("want the last name of a path, not %q", base)
	}
	return nil
}

func (s Spec) validateContent() error {
	var errs []error
	switch s.State {
	case "", Exists, Undefined:
	case Absent:
		if s.Content != nil {
			errs = append(errs, engine.Invalid("content", "want no content for a file that is to be absent"))
		}
		if s.SourcePath != "" {
			errs = append(errs, engine.Invalid("source", "want no source for a file that is to be absent"))
		}
	default:
		errs = append(errs, engine.Invalid("state", "want exists, absent or undefined, not %q", s.State))
	}
	if s.Content != nil && s.SourcePath != "" {
		errs = append(errs, engine.Invalid("source", "want content or source, not both"))
	}
	if s.Content != nil && s.isDir() {
		errs = append(errs, engine.Invalid("content", "a directory has no content; take the slash off the end of the path to declare a file"))
	}
	if strings.ContainsRune(s.SourcePath, 0) {
		errs = append(errs, engine.Invalid("source", "a path cannot hold a NUL"))
	}
	if strings.HasSuffix(s.SourcePath, "/") && !s.isDir() {
		errs = append(errs, engine.Invalid("source", "the source is a directory, so the path must end with a slash too"))
	}
	return errors.Join(errs...)
}

func (s Spec) validateTree() error {
	var errs []error
	if s.SourcePath != "" && s.isDir() && !s.Recurse {
		errs = append(errs, engine.Invalid("source", "copying a directory takes recurse: true"))
	}
	if s.Recurse && !s.isDir() {
		errs = append(errs, engine.Invalid("recurse", "only a directory has something in it; end the path with a slash to declare one"))
	}
	if s.Purge {
		switch {
		case !s.isDir():
			errs = append(errs, engine.Invalid("purge", "only a directory can be purged; end the path with a slash to declare one"))
		case !s.Recurse:
			errs = append(errs, engine.Invalid("purge", "removing what is in a directory takes recurse: true"))
		case s.State == Absent:
			errs = append(errs, engine.Invalid("purge", "a directory that is to be absent cannot be purged; remove it with recurse and force"))
		}
	}
	if from, to := filepath.Clean(s.SourcePath), filepath.Clean(s.path()); filepath.IsAbs(from) &&
		(from == to || s.isTree() && (mounts.Covers(from, to) || mounts.Covers(to, from))) {
		errs = append(errs, engine.Invalid("source", "the source and the path are the same, or one is in the other"))
	}
	return errors.Join(errs...)
}

func (s Spec) validateAttributes() error {
	var errs []error
	if s.Mode != "" {
		if _, err := parseMode(s.Mode); err != nil {
			errs = append(errs, engine.Invalid("mode", "%w", err))
		}
	}
	for field, name := range map[string]string{"owner": s.Owner, "group": s.Group} {
		if strings.ContainsAny(name, ": \t\n\x00") || strings.HasPrefix(name, "-") || name == noID {
			errs = append(errs, engine.Invalid(field, "want a name or a number, not %q", name))
		}
	}
	return errors.Join(errs...)
}

// validateLoss refuses what would take the system along with the path.
func (s Spec) validateLoss() error {
	path := filepath.Clean(s.path())
	if !isVital(path) {
		return nil
	}
	switch {
	case path == "/" && !s.isDir():
		return engine.Invalid("path", "/ is a directory")
	case s.State == Absent:
		return engine.Invalid("state", "%s belongs to the system and is never removed", path)
	case s.Purge:
		return engine.Invalid("purge", "%s belongs to the system and is never purged", path)
	case s.Force && !s.isDir():
		return engine.Invalid("force", "%s belongs to the system and is never replaced by a file", path)
	}
	return nil
}

// isVital reports whether path is a directory that no system works without, or that holds
// everybody's data.
func isVital(path string) bool {
	return slices.Contains([]string{
		"/", "/bin", "/boot", "/boot/efi", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media",
		"/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var",
		"/etc/pam.d", "/etc/ssh", "/etc/ssl", "/etc/systemd",
		"/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/local", "/usr/sbin", "/usr/share",
		"/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp",
		"/Applications", "/Library", "/System", "/Users", "/Volumes", "/private", "/private/etc", "/private/tmp", "/private/var",
	}, path)
}

// noID is the number that stands for no owner and no group.
const noID = "4294967295"

// special are the permissions beyond rwx.
const special = fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// parseMode reads permissions in octal.
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 16)
	if err != nil || n > 0o7777 || text[0] == '+' {
		return 0, fmt.Errorf("want octal permissions such as 0644, not %q; symbolic ones such as u+x would depend on what is found", text)
	}
	mode := fs.FileMode(n) & fs.ModePerm
	for bit, special := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= special
		}
	}
	return mode, nil
}

// octal writes permissions as parseMode reads them.
func octal(mode fs.FileMode) string {
	n := uint64(mode.Perm())
	for bit, special := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&special != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}
