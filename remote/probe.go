package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

const (
	storeSocket = "store.sock"
	binaryName  = "spore"

	blakeOfNothing = "786a02f742015903c6c6fd852552d272" // begins so
)

// A place is what a session has, or is about to have, on a host.
type place struct {
	id       string // 16 characters, random
	session  string // the same for every place of a session
	os, arch string
	prefix   string // where the cache is; "" when none is used
	run      string // the run directory
	fresh    bool   // run was made just now
	made     []string
	binary   Binary // as it is here
	path     string // where it is there, or will be
	sum      string // what the host is to find that it is
}

// partial is where the executable lies until it is verified; after a lost connection, what is there
// is gone on with.
func (p *place) partial() string { return path.Join(path.Dir(p.path), ".spore-"+p.session) }

// cached says that the executable lies in the cache, not in the run directory.
func (p *place) cached() bool { return path.Dir(p.path) != p.run }

// store is the path of the socket through which the host reaches the store.
func (p *place) store() string { return path.Join(p.run, storeSocket) }

// emptied lists the directories to remove at the end if nothing is left in them, deepest first.
func (p *place) emptied(given string) []string {
	var dirs []string
	if p.cached() {
		dirs = append(dirs, path.Dir(p.path), path.Join(p.prefix, "cache"))
	}
	if given == "" && p.prefix != "" {
		dirs = append(dirs, p.prefix) // ours by its name, whoever made it
	}
	return append(dirs, p.made...)
}

// A verdict is what the host says about the executable in its cache.
type verdict string

const (
	cacheHit      verdict = "hit"
	cacheMiss     verdict = "miss"
	cacheUnsure   verdict = "unsure" // it is there, and the host has nothing to verify it with
	cachePoisoned verdict = "poisoned"
)

// A probe is the first look at a host, in one script. It makes the directories that a session
// needs, and unmakes them unless its verdict is heard.
type probe struct {
	*script
	place   *place
	noCache bool
	refused []string
}

// probe looks at the host, as far as everything but the cache is known. old is the run directory
// of an earlier connection, to be kept if it is still there.
func (s *Session) probe(ctx context.Context, h *host, old string) (*probe, error) {
	id := strings.ToLower(rand.Text()[:16])
	sc, err := h.script(ctx, probeScript+hashScript, "main",
		variable{"id", id}, variable{"old", old}, variable{"nocache", flag(s.o.NoCache)},
		variable{"given", cleanPath(s.o.Prefix)}, variable{"tmpgiven", cleanPath(s.o.TmpPrefix)})
	if err != nil {
		return nil, err
	}
	p := &probe{script: sc, place: &place{id: id, session: s.id}, noCache: s.o.NoCache}
	if err := p.read(s.o.Executable); err != nil {
		sc.finish()
		return nil, err
	}
	return p, nil
}

// read takes in what the host says until it is ready, and asks for the executable.
func (p *probe) read(executable func(goos, goarch string) (Binary, error)) error {
	for {
		key, value, err := p.next()
		if err != nil {
			return err
		}
		switch key {
		case "sys":
			if err := p.system(value, executable); err != nil {
				return err
			}
		case "ready":
			return p.ready(value)
		default:
			if err := p.take(key, value); err != nil {
				return err
			}
		}
	}
}

// take takes in one thing about a directory.
func (p *probe) take(key, value string) error {
	switch key {
	case "refused":
		p.refused = append(p.refused, Clean(value))
		return nil
	case "fail":
		return &UnusableError{Refused: p.refused}
	}
	if !strings.HasPrefix(value, "/") || strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("the host names an unusable directory: %s", Clean(value))
	}
	switch key {
	case "prefix":
		p.place.prefix = value
	case "made":
		p.place.made = append(p.place.made, value)
	case "run":
		p.place.run, p.place.fresh = value, true
	case "kept":
		p.place.run = value
	}
	return nil
}

func (p *probe) system(uname string, executable func(goos, goarch string) (Binary, error)) (err error) {
	kernel, machine, _ := strings.Cut(uname, " ")
	p.place.os, p.place.arch = strings.ToLower(Clean(kernel)), goArch(Clean(machine))
	p.place.binary, err = executable(p.place.os, p.place.arch)
	return err
}

// ready asks for the executable, of which the host is to compute the BLAKE2b if it has a b2sum.
func (p *probe) ready(b2sum string) error {
	if p.place.run == "" || p.place.os == "" {
		return errors.New("the host left out what was asked for")
	}
	p.place.path = path.Join(p.place.run, binaryName)
	if !p.noCache {
		p.place.path = path.Join(p.place.prefix, "cache", p.place.binary.SHA256, binaryName)
	}
	if p.place.sum = p.place.binary.BLAKE2b; !strings.HasPrefix(b2sum, blakeOfNothing) {
		p.place.sum = p.place.binary.SHA256
	}
	return p.tell(p.place.binary.SHA256 + " " + p.place.sum)
}

// verdict waits for what the host says about its cache, and has it keep what was made. The
// caller finishes the script.
func (p *probe) verdict() (v verdict, why string, err error) {
	for {
		key, value, err := p.next()
		switch {
		case err != nil:
			return "", "", err
		case key == "cache":
			word, rest, _ := strings.Cut(value, " ")
			v, why = verdict(word), Clean(rest)
		case key == "refused":
			p.refused = append(p.refused, Clean(value))
		case key == "fail":
			return "", "", &UnusableError{Refused: p.refused}
		case key == "end":
			return v, why, p.tell("keep")
		}
	}
}

// goArch turns what uname says of a machine into GOARCH's word for it.
func goArch(machine string) string {
	switch m := strings.ToLower(machine); m {
	case "x86_64", "amd64":
		return "amd64"
	case "aarch64", "arm64", "armv8b", "armv8l":
		return "arm64"
	case "i386", "i486", "i586", "i686", "x86", "i86pc":
		return "386"
	case "loongarch64":
		return "loong64"
	case "mips64el", "mipsel":
		return strings.TrimSuffix(m, "el") + "le"
	default:
		if strings.HasPrefix(m, "arm") {
			return "arm"
		}
		return m
	}
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func cleanPath(dir string) string {
	if dir == "" {
		return ""
	}
	return path.Clean(dir)
}
