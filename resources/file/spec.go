package file

import (
	"errors"
	"path/filepath"
	"strings"

	"spore/engine"
)

// The values of [Spec.State].
const (
	Exists    = "exists"
	Absent    = "absent"
	Undefined = "undefined"
)

// Spec declares a file, a directory or a tree.
type Spec struct {
	Path       string  `json:"path,omitempty" doc:"The absolute path; one that ends with a slash is a directory. If absent, the resource's name. Its parent directory must exist, or be declared by a resource that comes before. A symbolic link on the way is followed; one at the path itself is refused, unless force is set."`
	Dirname    string  `json:"dirname,omitempty" doc:"The directory part of the path, in place of that of path."`
	Basename   string  `json:"basename,omitempty" doc:"The last part of the path, in place of that of path; one that ends with a slash is a directory."`
	State      string  `json:"state,omitempty" enum:"exists,absent,undefined" default:"exists" doc:"With exists it is created if missing; without content and source as an empty file, while one that is there keeps its content. With absent it is removed, a directory that is not empty only if recurse and force are set. With undefined it is kept as declared if it is there, and neither created nor removed."`
	Content    *string `json:"content,omitempty" doc:"The content of the file. The empty string is an empty file; without this field, and without source, the content is left alone. A new content is written beside the file and renamed into its place, so that readers see the old or the new; hard links are thereby broken, and capabilities of an executable dropped."`
	SourcePath string  `json:"source,omitempty" doc:"The file, or the directory, to copy. A relative path is relative to the graph file, and travels with the graph; an absolute one is on the host, and is watched there. A directory is copied with all that is in it, permissions included, symbolic links as links; it takes recurse."`
	Owner      string  `json:"owner,omitempty" doc:"The owner, by name or number; of a tree copied from source, the owner of all of it. If absent, the owner is left alone."`
	Group      string  `json:"group,omitempty" doc:"The group, by name or number; of a tree copied from source, the group of all of it. If absent, the group is left alone."`
	Mode       string  `json:"mode,omitempty" doc:"The permissions in octal, such as 0644, exactly; of the path itself, not of what is in it. If absent, the permissions are left alone, and what is new gets those of its source, else 0644 or 0755 for a directory, less the umask."`
	Recurse    bool    `json:"recurse,omitempty" doc:"Handle what is in the directory as well: copy all of source, purge it, or, with force, remove it. All of it is then watched."`
	Purge      bool    `json:"purge,omitempty" doc:"Remove from the directory what is neither in source nor declared by another resource of the host; it takes recurse."`
	Force      bool    `json:"force,omitempty" doc:"Replace what is of another type: a symbolic link, or a directory with everything in it, where a file is declared, or the reverse. With absent and recurse, remove a directory that is not empty."`

	// SourceDigest makes a changed source that travels with the graph a changed spec.
	SourceDigest string `json:"source_digest,omitempty"`
}

// path joins Path, Dirname and Basename; a directory ends with a slash.
func (s Spec) path() string {
	if s.Dirname == "" && s.Basename == "" {
		return s.Path
	}
	dir, base := splitPath(s.Path)
	if s.Dirname != "" {
		dir = strings.TrimRight(s.Dirname, "/") + "/"
	}
	if s.Basename != "" {
		base = s.Basename
	}
	return dir + base
}

// splitPath cuts before the last name, whose trailing slash remains.
func splitPath(path string) (dir, base string) {
	i := strings.LastIndexByte(strings.TrimRight(path, "/"), '/')
	dir, base = path[:i+1], path[i+1:]
	if name := strings.TrimRight(base, "/"); name != base {
		base = name + "/"
	}
	return dir, base
}

func (s Spec) isDir() bool { return strings.HasSuffix(s.path(), "/") }

// isTree says that what is in the directory is handled as well.
func (s Spec) isTree() bool { return s.isDir() && s.Recurse }

// WithName lets an absolute path that is the resource's name stand for Path, or a mere name beside
// Dirname for Basename.
func (s Spec) WithName(name string) engine.Spec {
	switch {
	case s.Path != "":
	case filepath.IsAbs(name):
		s.Path = name
	case s.Dirname != "" && s.Basename == "":
		s.Basename = name
	}
	return s
}

// Location returns the path, and whether there is to be a directory.
func (s Spec) Location() (path string, makes bool) {
	return filepath.Clean(s.path()), s.isDir() && s.State != Absent && s.State != Undefined
}

// Source returns the source as written.
func (s Spec) Source() string { return s.SourcePath }

// WithSource returns the spec reading path.
func (s Spec) WithSource(path, digest string) engine.Spec {
	s.SourcePath, s.SourceDigest = path, digest
	return s
}

// Exportable reports what cannot be handed to another host.
func (s Spec) Exportable() error {
	var errs []error
	if s.SourcePath != "" {
		errs = append(errs, engine.Invalid("source", "a source stays on its host; export the file with content"))
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"recurse", s.Recurse}, {"purge", s.Purge}, {"force", s.Force}} {
		if f.set {
			errs = append(errs, engine.Invalid(f.name, "another host's files are not to be removed: an exported file cannot have %s", f.name))
		}
	}
	if mode, err := parseMode(s.Mode); err == nil && s.Mode != "" && mode&special != 0 {
		errs = append(errs, engine.Invalid("mode", "an exported file cannot be setuid, setgid or sticky"))
	}
	return errors.Join(errs...)
}

// ValidatePattern wants the absolute path of a directory.
func (s Spec) ValidatePattern(pattern string) error {
	if !filepath.IsAbs(pattern) {
		return engine.Invalid("pattern", "want the absolute path of the directory that collected files land in, not %q", pattern)
	}
	return nil
}

// Collected returns the spec landing in the directory pattern under its own last name, whatever
// directory its exporter had in mind.
func (s Spec) Collected(pattern string) (engine.Spec, error) {
	if err := errors.Join(s.ValidatePattern(pattern), s.Exportable(), s.Validate()); err != nil {
		return nil, err
	}
	_, base := splitPath(s.path())
	if err := validName(base); err != nil {
		return nil, engine.Invalid("path", "%w", err)
	}
	s.Path, s.Dirname, s.Basename = strings.TrimRight(pattern, "/")+"/"+base, "", ""
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return s, nil
}
