package fswatch_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"spore/internal/fswatch"
)

// A user namespace has limits of its own, so that no other process suffers.
func TestLimit(t *testing.T) {
	if os.Getenv("FSWATCH_TEST_LIMIT") != "" {
		limited(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLimit$", "-test.v")
	cmd.Env = append(os.Environ(), "FSWATCH_TEST_LIMIT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func limited(t *testing.T) {
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
	h := fswatch.New(slog.New(slog.DiscardHandler))
	defer h.Close()
	deep := filepath.Join(t.TempDir(), "a/b/c/d")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	err := h.Watch(t.Context(), deep, fswatch.Options{}, func() { t.Error("it is watched") })
	if err == nil || !strings.Contains(err.Error(), "fs.inotify.max_user_watches") {
		t.Errorf("got %v", err)
	}
}
