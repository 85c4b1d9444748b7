package fleet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"

	"spore/engine/manifest"
	"spore/remote"
)

// apply brings an edited manifest to the hosts that run it.
func (f *fleet) apply(ctx context.Context, members []*member, next *manifest.Manifest) {
	f.editing.Add(1)
	defer f.poke()
	defer f.editing.Add(-1)
	f.editor.Lock() // the grants of one graph depend on the others
	defer f.editor.Unlock()
	before := members[0].manifest
	if !sameRemotes(before, next) {
		f.Log.Warn("the edit changes which hosts the graph is for: that takes a new run", "file", next.File)
	}
	for _, m := range members {
		m.manifest = next
	}
	if err := f.regrant(ctx); err != nil {
		f.Log.Error("edit could not be applied", "file", next.File, "err", err)
		return
	}
	var all sync.WaitGroup
	for _, m := range members {
		all.Go(func() {
			if err := m.update(ctx, before, next); err != nil && ctx.Err() == nil {
				m.log.Error("edit could not be brought to the host", "err", err)
			}
		})
	}
	all.Wait()
}

// update brings what is new in next to the host: files first, since the graph needs them.
func (m *member) update(ctx context.Context, before, next *manifest.Manifest) error {
	if linked, ended := m.link(); ended || !linked {
		if ended {
			return nil
		}
		return errors.Join(m.put(ctx), errors.New("no connection: its files follow at the next edit"))
	}
	changed, gone := delta(before.Files, next.Files)
	if len(changed) > 0 {
		if err := m.session.Push(ctx, files(changed)...); err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		if err := m.session.Remove(ctx, gone...); err != nil {
			return err
		}
	}
	return m.put(ctx)
}

// delta returns the files that have to be copied and the names of those that have to go.
func delta(before, after []manifest.File) (changed []manifest.File, gone []string) {
	old := make(map[string]manifest.File, len(before))
	for _, f := range before {
		old[f.Name] = f
	}
	for _, f := range after {
		o, ok := old[f.Name]
		delete(old, f.Name)
		if !ok || o.Digest != f.Digest || o.Mode != f.Mode || o.Target != f.Target {
			changed = append(changed, f)
		}
	}
	for _, f := range before {
		if _, ok := old[f.Name]; ok && f.Mode.IsRegular() {
			gone = append(gone, path.Join(graphDir, f.Name))
		}
	}
	return changed, gone
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

// files returns those that are files as a session copies them.
func files(all []manifest.File) []remote.File {
	var list []remote.File
	for _, f := range all {
		if f.Mode.IsRegular() {
			list = append(list, remote.File{
				Name: path.Join(graphDir, f.Name), Mode: f.Mode.Perm(), Size: f.Size,
				Open: func() (io.ReadCloser, error) { return os.Open(f.Path) },
			})
		}
	}
	return list
}

// graphFile returns the graph itself as a session copies it.
func graphFile(m *manifest.Manifest) remote.File {
	return remote.File{
		Name: path.Join(graphDir, filepath.Base(m.File)), Mode: 0o600, Size: int64(len(m.Text)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Text)), nil },
	}
}
