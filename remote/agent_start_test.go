package remote

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What clean.sh puts where an agent writes its pid keeps one from starting that is late.
func TestNoAgentStartsOnceItsPlaceIsSwept(t *testing.T) {
	for _, swept := range []bool{false, true} {
		run := t.TempDir()
		if swept {
			if err := os.Mkdir(filepath.Join(run, "pid"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		started := filepath.Join(run, "started")
		argv := recorded(run, []string{"touch", started})
		err := exec.Command(argv[0], argv[1:]...).Run()
		if _, e := os.Stat(started); (e == nil) == swept || (err == nil) == swept {
			t.Errorf("swept: %v, started: %v, error: %v", swept, e == nil, err)
		}
	}
}
