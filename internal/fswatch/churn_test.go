package fswatch_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Whatever happens in whatever order, a watch ends up having told of the last of it.
func TestChurn(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			churn(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

func churn(t *testing.T, random *rand.Rand) {
	dir := t.TempDir()
	h := newHub(t)
	views := []*viewer{
		view(t, h, filepath.Join(dir, "a/b/c"), false),
		view(t, h, filepath.Join(dir, "a/b/c/a"), false),
		view(t, h, filepath.Join(dir, "b"), false),
		view(t, h, filepath.Join(dir, "a"), true),
		view(t, h, filepath.Join(dir, "c/a"), true),
	}
	name := func() string {
		path := dir
		for range 1 + random.IntN(3) {
			path = filepath.Join(path, string('a'+rune(random.IntN(3))))
		}
		return path
	}
	for i := range 400 {
		// Most of these fail, as the path is of another kind: what works is churn enough.
		switch path := name(); random.IntN(8) {
		case 0, 1, 2:
			os.MkdirAll(path, 0o755)
		case 3:
			os.Rename(path, name())
		case 4:
			os.RemoveAll(path)
		case 5:
			os.Symlink(name(), path)
		default:
			os.WriteFile(path, fmt.Append(nil, i), 0o644)
		}
		if i%50 == 49 {
			for _, v := range views {
				v.wait()
			}
		}
	}
}
