package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"

	"spore/engine/manifest"
	"spore/internal/agent"
	"spore/remote"
)

// apply brings an edited manifest to the hosts that run it.
func (f *fleet) apply(ctx context.Context, members []*member, next *manifest.Manifest) {
	f.editor.Lock() // the grants of one graph depend on the others
	defer f.editor.Unlock()
	if !sameRemotes(members[0].manifest, next) {
		f.Log.Warn("the edit changes which hosts the graph is for: that takes a new run", "file", next.File)
	}
	for _, m := range members {
		m.manifest = next
	}
	if err := f.regrant(ctx); err != nil {
		f.Log.Error("edit could not be applied", "file", next.File, "err", err)
		return
	}
	for _, m := range members {
		m.want(next)
	}
}

// A delta is what has to be done to what travels with a manifest.
type delta struct {
	changed     []manifest.File // to be copied
	other, gone []string        // to be removed: what becomes of another type, and what is no more
}

// compare tells how to come from what a host has, by name, to what it is to have.
func compare(has map[string]manifest.File, after []manifest.File) (d delta) {
	old := maps.Clone(has)
	for _, f := range after {
		o, ok := old[f.Name]
		delete(old, f.Name)
		if ok && o.Mode.Type() != f.Mode.Type() {
			d.other = append(d.other, path.Join(graphDir, f.Name))
		}
		if !ok || o.Digest != f.Digest || o.Mode != f.Mode || o.Target != f.Target {
			d.changed = append(d.changed, f)
		}
	}
	for name := range old {
		d.gone = append(d.gone, path.Join(graphDir, name))
	}
	return d
}

func sameRemotes(a, b *manifest.Manifest) bool {
	if len(a.Remotes) != len(b.Remotes) {
		return false
	}
	for i := range a.Remotes {
		if a.Remotes[i].Address != b.Remotes[i].Address {
			return false
		}
	}
	return true
}

// files returns what travels with a manifest as a session copies it.
func files(all []manifest.File) []remote.File {
	list := make([]remote.File, len(all))
	for i, f := range all {
		list[i] = remote.File{
			Name: path.Join(graphDir, f.Name), Mode: f.Mode, Size: f.Size, Target: f.Target,
			Open: func() (io.ReadCloser, error) { return os.Open(f.Path) },
		}
	}
	return list
}

// graphFile returns the graph itself as a session copies it.
func graphFile(m *manifest.Manifest) remote.File {
	return file(path.Join(graphDir, filepath.Base(m.File)), m.Travels)
}

// secretsFile returns what the references in the graph stand for, if there are any, as a session
// copies it.
func secretsFile(m *manifest.Manifest) []remote.File {
	if len(m.Secrets) == 0 {
		return nil
	}
	text, _ := json.Marshal(map[string]string(m.Secrets)) // strings always can
	return []remote.File{file(agent.SecretsFile, text)}
}

// file returns a file for its owner's eyes.
func file(name string, text []byte) remote.File {
	return remote.File{
		Name: name, Mode: 0o600, Size: int64(len(text)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
	}
}
