// Package sshconfig reads OpenSSH's client configuration and says what it sets for one host.
//
// It knows the grammar and the blocks (Host, Match, Include), not what the keywords mean. Every
// value carries its file and line. No library is used, for the ones there are refuse a whole
// file over a "Match user", match "web?" against "web", cut values at a "#" and forget which
// file an included line came from.
package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxDepth is how deep files may include each other, as in OpenSSH.
const maxDepth = 16

// A Source is one file to read.
type Source struct {
	Path     string
	Dir      string // where a relative Include starts
	Optional bool   // a missing file counts as an empty one
	Private  bool   // refuse a file that others could write, for it can name commands to run; holds for included ones anyway
}

// A Config is what the files say, in order of precedence.
type Config struct {
	home  string
	files []*file
}

type file struct {
	lines []line
}

// A line is one keyword with its arguments.
type line struct {
	key      string // in lower case
	value    Value
	included []*file // for Include
}

// A Value is what a keyword was set to.
type Value struct {
	Args []string // the words, without quotes
	Raw  string   // the rest of the line as it stands, for commands
	Pos  string   // file:line
}

// String returns the first word, or "" if there is none.
func (v Value) String() string {
	if len(v.Args) == 0 {
		return ""
	}
	return v.Args[0]
}

// Load reads sources; values in an earlier one win. home is what ~ stands for in Include.
func Load(home string, sources ...Source) (*Config, error) {
	c := &Config{home: home}
	for _, s := range sources {
		f, err := c.load(s, 0)
		if errors.Is(err, fs.ErrNotExist) && s.Optional {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read ssh configuration: %w", err)
		}
		c.files = append(c.files, f)
	}
	return c, nil
}

func (c *Config) load(s Source, depth int) (*file, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: included more than %d files deep", s.Path, maxDepth)
	}
	if s.Private {
		if err := checkPrivate(s.Path); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, err
	}
	f := new(file)
	for i, t := range strings.Split(string(text), "\n") {
		l, err := parseLine(t)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", s.Path, i+1, err)
		}
		if l.key == "" {
			continue
		}
		l.value.Pos = fmt.Sprintf("%s:%d", s.Path, i+1)
		if l.key == "include" {
			if l.included, err = c.include(s, l.value, depth); err != nil {
				return nil, fmt.Errorf("%s: %w", l.value.Pos, err)
			}
		}
		f.lines = append(f.lines, l)
	}
	return f, nil
}

// include loads the files that v's patterns match, in the order of the patterns.
func (c *Config) include(from Source, v Value, depth int) ([]*file, error) {
	var files []*file
	for _, pattern := range v.Args {
		if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
			pattern = filepath.Join(c.home, rest)
		} else if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(from.Dir, pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("include %s: %w", pattern, err)
		}
		for _, p := range paths {
			if hidden(pattern, p) {
				continue
			}
			f, err := c.load(Source{Path: p, Dir: from.Dir, Private: true}, depth+1)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EISDIR):
			case err != nil:
				return nil, err
			default:
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// hidden reports whether path, which pattern matches, has a leading dot that pattern does not
// spell out, as what editors leave beside a file.
func hidden(pattern, path string) bool {
	names := strings.Split(path, "/")
	for i, p := range strings.Split(pattern, "/") {
		if strings.HasPrefix(names[i], ".") && !strings.HasPrefix(p, ".") {
			return true
		}
	}
	return false
}

func checkPrivate(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to another user: run chown on it", path)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may be written by others: run chmod go-w on it", path)
	}
	return nil
}

// parseLine reads one line; its key is empty for a blank line or a comment.
func parseLine(s string) (line, error) {
	s = strings.Trim(s, " \t\r\f")
	if s == "" || s[0] == '#' {
		return line{}, nil
	}
	end := strings.IndexAny(s, " \t=")
	if end < 0 {
		return line{}, fmt.Errorf("%s has no value", s)
	}
	key, rest := s[:end], strings.TrimLeft(s[end:], " \t")
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
	if key == "" {
		return line{}, errors.New("the keyword is missing")
	}
	args, err := words(rest)
	if err != nil {
		return line{}, err
	}
	if len(args) == 0 {
		return line{}, fmt.Errorf("%s has no value", key)
	}
	return line{key: strings.ToLower(key), value: Value{Args: args, Raw: strings.TrimLeft(rest, " \t=")}}, nil
}

// words splits s at blanks. Quotes of either kind hold a word together, a backslash escapes a
// quote, a backslash or, outside quotes, a blank; a word that begins with # begins a comment.
func words(s string) ([]string, error) {
	var list []string
	var word strings.Builder
	var quote byte
	inWord := false
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case ch == '\\' && i+1 < len(s) && escapable(s[i+1], quote):
			i++
			word.WriteByte(s[i])
			inWord = true
		case quote != 0 && ch == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(ch)
		case ch == '"' || ch == '\'':
			quote, inWord = ch, true
		case ch == ' ' || ch == '\t':
			if inWord {
				list = append(list, word.String())
				word.Reset()
				inWord = false
			}
		case ch == '#' && !inWord:
			return list, nil
		default:
			word.WriteByte(ch)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		list = append(list, word.String())
	}
	return list, nil
}

func escapable(ch, quote byte) bool {
	return ch == '"' || ch == '\'' || ch == '\\' || quote == 0 && ch == ' '
}
