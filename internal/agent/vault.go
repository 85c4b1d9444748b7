package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"spore/internal/secret"
)

// SecretsFile is the name, in an agent's private directory, of the file in which the initiator leaves
// the secrets that the host's graph refers to: values by reference, as JSON, for its owner's eyes.
const SecretsFile = "secrets.json"

// A Vault holds the secrets of one agent, and keeps them out of what it says.
type Vault struct {
	secret.Redactor
	Dir string // the agent's private directory
}

// Get returns what reference stands for. It reads the file each time: an edit may have brought more.
func (v *Vault) Get(_, reference string) (string, error) {
	text, err := os.ReadFile(filepath.Join(v.Dir, SecretsFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	var all map[string]string
	if len(text) > 0 {
		if err := json.Unmarshal(text, &all); err != nil {
			return "", errors.New("the file with the secrets is damaged")
		}
	}
	value, ok := all[reference]
	if !ok {
		return "", errors.New("the initiator sent no such secret")
	}
	v.Add(value)
	return value, nil
}
