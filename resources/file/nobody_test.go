package file

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAsNobody runs all tests once more without root.
func TestAsNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is without root already")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "nobody")
	must(t, err, os.Chmod(dir, 0o755))
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "tmp")
	must(t, os.Mkdir(tmp, 0o700), os.Chown(tmp, nobody, nobody))

	from, err := os.Open(os.Args[0])
	must(t, err)
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, "test"), os.O_WRONLY|os.O_CREATE, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err, to.Close())

	cmd := exec.CommandContext(t.Context(), to.Name(), "-test.short")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
