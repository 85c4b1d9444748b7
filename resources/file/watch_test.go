package file

import (
	"context"
	"os"
	"testing"
	"time"
)

// An absolute source is on the host: its changes are followed, those of a tree in all its depth.
func TestSourceIsWatched(t *testing.T) {
	tests := []struct{ name, path, source, changed, follows string }{
		{"file", "/f", "/s/a", "/s/a", "/f"},
		{"tree", "/d/", "/s/", "/s/sub/b", "/d/sub/b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir+"/s", "a", "sub/b")
			r := open(t, Spec{Path: dir + test.path, SourcePath: dir + test.source, Recurse: test.name == "tree"})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			changed, ended := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				ended <- r.Watch(ctx, func() {
					select {
					case changed <- struct{}{}:
					default:
					}
				})
			}()
			<-changed
			must(t, r.Apply(ctx, nil), os.WriteFile(dir+test.changed, []byte("new"), 0o644))
			for contentOf(t, dir+test.follows) != "new" {
				select {
				case <-changed:
					must(t, r.Apply(ctx, nil))
				case <-ctx.Done():
					t.Fatal("the change of the source was not told")
				}
			}
			cancel()
			must(t, <-ended)
		})
	}
}
