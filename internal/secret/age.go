package secret

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
)

// decrypt reads what age encrypted to one of the identities, armoured or not.
func (r *Resolver) decrypt(in io.Reader) (io.Reader, error) {
	text, err := io.ReadAll(io.LimitReader(in, 4*maxSize))
	if err != nil {
		return nil, err
	}
	identities, err := r.identities()
	if err != nil {
		return nil, err
	}
	in = bytes.NewReader(text)
	if bytes.HasPrefix(text, []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	return age.Decrypt(in, identities...)
}

func (r *Resolver) identities() ([]age.Identity, error) {
	paths := r.Identities
	if len(paths) == 0 {
		paths = defaultIdentities()
	}
	var all []age.Identity
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && len(r.Identities) == 0 {
			continue
		}
		if err != nil {
			return nil, err
		}
		some, err := parseIdentities(text)
		if err != nil {
			return nil, fmt.Errorf("read identity %s: %w", path, err)
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no identity to decrypt it with: name one in SPORE_AGE_IDENTITY, or have one of %v", paths)
	}
	return all, nil
}

func defaultIdentities() []string {
	if path := os.Getenv("SPORE_AGE_IDENTITY"); path != "" {
		return []string{path}
	}
	home, _ := os.UserHomeDir()
	config := cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config"))
	return []string{filepath.Join(config, "spore", "age.key"), filepath.Join(home, ".ssh", "id_ed25519")}
}

func parseIdentities(text []byte) ([]age.Identity, error) {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		identity, err := agessh.ParseIdentity(text)
		if err != nil {
			return nil, err
		}
		return []age.Identity{identity}, nil
	}
	return age.ParseIdentities(bytes.NewReader(text))
}
