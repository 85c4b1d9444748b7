package dial

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // #nosec G505 -- what known_hosts hides names with
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"spore/remote/dial/sshconfig"
)

// Markers of known_hosts lines.
const (
	markAuthority = "cert-authority"
	markRevoked   = "revoked"
)

// A knownHost is one line of a known_hosts file.
type knownHost struct {
	marker string   // "" for a host's own key
	names  []string // patterns in lower case, or one hashed name
	key    ssh.PublicKey
	pos    string // file:line
}

// knownHosts is what a set of known_hosts files says.
type knownHosts []knownHost

// about returns the lines with marker that name the host.
func (k knownHosts) about(name, marker string) knownHosts {
	var list knownHosts
	for _, line := range k {
		if line.marker == marker && line.matches(name) {
			list = append(list, line)
		}
	}
	return list
}

// holds returns the first line whose key is one of keys.
func (k knownHosts) holds(keys ...ssh.PublicKey) (line knownHost, ok bool) {
	i := slices.IndexFunc(k, func(l knownHost) bool {
		return slices.ContainsFunc(keys, func(key ssh.PublicKey) bool { return sameKey(l.key, key) })
	})
	if i < 0 {
		return knownHost{}, false
	}
	return k[i], true
}

func (l knownHost) matches(name string) bool {
	if salt, ok := hashSalt(l.names[0]); ok {
		return hashName(salt, name) == l.names[0]
	}
	return sshconfig.MatchList(l.names, name)
}

// knownName is what known_hosts calls the host at addr: its port stands there unless it is 22.
func knownName(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return addr
	case port != "22":
		return "[" + host + "]:" + port
	}
	return host
}

// hashName writes name as HashKnownHosts has it: |1|salt|digest.
func hashName(salt []byte, name string) string {
	h := hmac.New(sha1.New, salt)
	h.Write([]byte(name))
	return "|1|" + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// hashSalt returns the salt of a name that hashName wrote.
func hashSalt(name string) (salt []byte, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 4 || parts[0] != "" || parts[1] != "1" {
		return nil, false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	return salt, err == nil
}

// readKnownHosts reads those of paths that exist. As with OpenSSH a line that cannot be read is
// passed over, but never without a word.
func readKnownHosts(paths []string, log *slog.Logger) (knownHosts, error) {
	var known knownHosts
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read known hosts: %w", err)
		}
		for i, text := range bytes.Split(text, []byte("\n")) {
			line, err := parseKnownHost(text)
			line.pos = fmt.Sprintf("%s:%d", path, i+1)
			switch {
			case errors.Is(err, io.EOF): // blank, or a comment
			case err != nil:
				log.Warn("known_hosts line is not understood and is passed over", "line", line.pos, "error", err)
			default:
				known = append(known, line)
			}
		}
	}
	return known, nil
}

// parseKnownHost reads one line; its error is io.EOF if there is nothing in it.
func parseKnownHost(text []byte) (knownHost, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] == '#' {
		return knownHost{}, io.EOF
	}
	marker, names, key, _, _, err := ssh.ParseKnownHosts(text)
	switch {
	case errors.Is(err, io.EOF):
		return knownHost{}, errors.New("the key is missing")
	case err != nil:
		return knownHost{}, err
	case !slices.Contains([]string{"", markAuthority, markRevoked}, marker):
		return knownHost{}, fmt.Errorf("the marker @%s is not known", marker)
	}
	if !strings.HasPrefix(names[0], "|") {
		return knownHost{marker: marker, names: strings.Split(strings.ToLower(strings.Join(names, ",")), ","), key: key}, nil
	}
	if _, ok := hashSalt(names[0]); !ok || len(names) > 1 {
		return knownHost{}, errors.New("the hashed name is damaged")
	}
	return knownHost{marker: marker, names: names, key: key}, nil
}

// readRevoked reads files of RevokedHostKeys: a key a line, each revoked for every host. As with
// OpenSSH nothing is trusted while one cannot be read.
func readRevoked(paths []string) (knownHosts, error) {
	var revoked knownHosts
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read revoked host keys: %w", err)
		}
		if bytes.HasPrefix(text, []byte("SSHKRL\n")) {
			return nil, fmt.Errorf("read revoked host keys: %s is in OpenSSH's binary format, which is not understood here: list the keys in it, one a line", path)
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			line = bytes.TrimSpace(line)
			if len(line) == 0 || line[0] == '#' {
				continue
			}
			pos := fmt.Sprintf("%s:%d", path, i+1)
			key, err := parsePublic(line)
			if err != nil {
				return nil, fmt.Errorf("read revoked host keys: %s: %w", pos, err)
			}
			revoked = append(revoked, knownHost{marker: markRevoked, names: []string{"*"}, key: plainKey(key), pos: pos})
		}
	}
	return revoked, nil
}

// appendKnownHost adds one line to file, which is made if need be. The write is a single one at
// the end of the file, so that another program's does not mix with it.
func appendKnownHost(file, name string, key ssh.PublicKey, hash bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("store host key: %w", err)
	}
	if hash {
		salt := make([]byte, sha1.Size)
		_, _ = rand.Read(salt) // never fails
		name = hashName(salt, name)
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
