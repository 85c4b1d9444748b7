package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"spore/remote"
)

// resident runs one of the verbs of spore resident on the host, with the binary of the session: in is
// what it is given and out what it answers, both as JSON, unless they are nil.
func (m *member) resident(ctx context.Context, in, out any, verb ...string) error {
	text, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode what %s is given: %w", verb[0], err)
	}
	answer, err := m.session.Exec(ctx,
		func() io.Reader { return bytes.NewReader(text) },
		func(p remote.Paths) []string {
			argv := append([]string{p.Binary, "resident"}, verb...)
			for i, word := range argv {
				argv[i] = strings.Replace(word, runDir, p.Run, 1)
			}
			return argv
		})
	if err != nil || out == nil {
		return lastWords(err)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("spore resident %s answered what cannot be read: %w", verb[0], err)
	}
	return nil
}

// lastWords is what spore itself said on a host, if a verb failed.
func lastWords(err error) error {
	var failed *remote.ProgramError
	if !errors.As(err, &failed) {
		return err
	}
	for _, line := range slices.Backward(failed.Stderr) {
		if words, ok := strings.CutPrefix(line, "spore: "); ok {
			return errors.New(words)
		}
	}
	return failed
}

// runDir stands for the session's private directory in the arguments of a verb.
const runDir = "%run"
