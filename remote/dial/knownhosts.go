package dial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// knownHosts is what a set of known_hosts files says.
type knownHosts struct {
	db        *knownhosts.HostKeyDB
	real      map[string]string // the file that a cleaned copy stands for
	authority map[string]bool   // file:line of @cert-authority lines
}

// pos is the file:line of k.
func (k *knownHosts) pos(key xknownhosts.KnownKey) string {
	name := key.Filename
	if r, ok := k.real[name]; ok {
		name = r
	}
	return fmt.Sprintf("%s:%d", name, key.Line)
}

// proves reports whether key, which a line names, is a certificate or a host's own. The library
// takes an authority's key for that of every host the authority may vouch for.
func (k *knownHosts) proves(host string, key ssh.PublicKey) bool {
	if _, ok := key.(*ssh.Certificate); ok {
		return true
	}
	return slices.ContainsFunc(k.db.HostKeys(host), func(h knownhosts.PublicKey) bool {
		return !h.Cert && sameKey(h.PublicKey, key)
	})
}

// readKnownHosts reads those of paths that exist. As with OpenSSH a line that cannot be read is
// passed over, but never without a word.
func readKnownHosts(paths []string, log *slog.Logger) (*knownHosts, error) {
	k := &knownHosts{real: make(map[string]string), authority: make(map[string]bool)}
	dir := ""
	defer func() {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}()
	var files []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read known hosts: %w", err)
		}
		clean := k.clean(path, text, log)
		if !bytes.Equal(clean, text) {
			// The parser takes files only, and gives up on the first line it does not know.
			if dir == "" {
				if dir, err = os.MkdirTemp("", "spore-known-hosts-"); err != nil {
					return nil, fmt.Errorf("read known hosts: %w", err)
				}
			}
			name := filepath.Join(dir, fmt.Sprint(len(files)))
			if err := os.WriteFile(name, clean, 0o600); err != nil {
				return nil, fmt.Errorf("read known hosts: %w", err)
			}
			k.real[name], path = path, name
		}
		files = append(files, path)
	}
	var err error
	if k.db, err = knownhosts.NewDB(files...); err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return k, nil
}

// clean returns text with the lines that cannot be parsed left empty, so that the others keep
// their numbers. It notes which lines name an authority.
func (k *knownHosts) clean(path string, text []byte, log *slog.Logger) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		marker, err := checkKnownHost(line)
		pos := fmt.Sprintf("%s:%d", path, i+1)
		if err != nil {
			log.Warn("known_hosts line is not understood and is passed over", "line", pos, "error", err)
			lines[i] = nil
		}
		if marker == "cert-authority" {
			k.authority[pos] = true
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

func checkKnownHost(line []byte) (marker string, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return "", nil
	}
	marker, hosts, key, _, _, err := ssh.ParseKnownHosts(line)
	if errors.Is(err, io.EOF) {
		return "", errors.New("the key is missing")
	}
	if err != nil {
		return "", err
	}
	if !slices.Contains([]string{"", "cert-authority", "revoked"}, marker) {
		return "", fmt.Errorf("the marker @%s is not known", marker)
	}
	if !slices.Contains(strings.Fields(string(line)), key.Type()) {
		return "", errors.New("the type does not fit the key")
	}
	if strings.HasPrefix(hosts[0], "|") && strings.Count(hosts[0], "|") != 3 {
		return "", errors.New("the hashed name is damaged")
	}
	return marker, nil
}

// appendKnownHost adds one line to file, which is made if need be. The write is a single one at
// the end of the file, so that another program's does not mix with it.
func appendKnownHost(file, host string, key ssh.PublicKey, hash bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("store host key: %w", err)
	}
	name := knownhosts.Normalize(host)
	if hash {
		name = xknownhosts.HashHostname(name)
	}
	line := name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + "\n"
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store host key: %w", err)
	}
	if !endsLine(f) {
		line = "\n" + line
	}
	_, err = f.WriteString(line)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("store host key: %w", err)
	}
	return nil
}

// endsLine reports whether f is empty or ends with a newline.
func endsLine(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() == 0 {
		return true
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, fi.Size()-1)
	return err != nil || last[0] == '\n'
}
