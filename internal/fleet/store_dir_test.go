package fleet

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStoreDirsOfTheDeadAreSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	living, release, err := makeStoreDir()
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(os.TempDir(), storeDirs+"dead")
	young := filepath.Join(os.TempDir(), storeDirs+"young") // made, and not yet locked
	old := filepath.Join(os.TempDir(), storeDirs+"old")     // made, and never locked
	for _, dir := range []string{dead, young, old} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{storeLock, "key"} {
		if err := os.WriteFile(filepath.Join(dead, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * lockWithin)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	_, other, err := makeStoreDir()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{living: true, young: true, dead: false, old: false} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: is there: %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
	for _, f := range []func() error{release, other} {
		if err := f(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(living); err == nil {
		t.Error("the directory stays when the store has ended")
	}
}
