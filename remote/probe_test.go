package remote

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"spore/internal/sshtest"
)

func TestRefusedPrefixes(t *testing.T) {
	cases := map[string]struct {
		make func(t *testing.T, home string) (prefix string)
		why  string
	}{
		"link": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "real"), 0o700))
			must(t, os.Symlink("real", filepath.Join(home, "link")))
			return filepath.Join(home, "link")
		}, "is a symbolic link"},
		"dangling link": {func(t *testing.T, home string) string {
			must(t, os.Symlink("nowhere", filepath.Join(home, "link")))
			return filepath.Join(home, "link")
		}, ""},
		"file": {func(t *testing.T, home string) string {
			must(t, os.WriteFile(filepath.Join(home, "file"), nil, 0o600))
			return filepath.Join(home, "file")
		}, ""},
		"group may write": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "dir"), 0o700))
			must(t, os.Chmod(filepath.Join(home, "dir"), 0o770))
			return filepath.Join(home, "dir")
		}, "may be written by others"},
		"below what anyone may change": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "open"), 0o700))
			must(t, os.Chmod(filepath.Join(home, "open"), 0o777))
			return filepath.Join(home, "open", "dir")
		}, "others may change"},
		"below what a group may change": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "open"), 0o700))
			must(t, os.Chmod(filepath.Join(home, "open"), 0o770))
			return filepath.Join(home, "open", "deep", "dir")
		}, "others may change"},
		"below another's directory": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "theirs"), 0o755))
			give(t, filepath.Join(home, "theirs"))
			return filepath.Join(home, "theirs", "dir")
		}, "below a directory of uid 65534"},
		"by way of another's link": {func(t *testing.T, home string) string {
			must(t, os.Mkdir(filepath.Join(home, "real"), 0o700))
			must(t, os.Symlink("real", filepath.Join(home, "link")))
			give(t, filepath.Join(home, "link"))
			return filepath.Join(home, "link", "dir")
		}, "below a directory of uid 65534"},
		"relative": {func(*testing.T, string) string { return "some/where" }, "is not an absolute path"},
		"root":     {func(*testing.T, string) string { return "/" }, "is not a clean path"},
		"virtual":  {func(*testing.T, string) string { return "/proc/spore" }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sshtest.Options{})
			o := r.options()
			o.Prefix = c.make(t, r.home)
			before := listing(t, r.home)
			_, err := r.start(o).end()
			var unusable *UnusableError
			if !errors.As(err, &unusable) || len(unusable.Refused) != 1 {
				t.Fatalf("error %v", err)
			}
			if got := unusable.Refused[0]; !strings.Contains(got, o.Prefix) || !strings.Contains(got, c.why) {
				t.Errorf("refused for %q, want %q", got, c.why)
			}
			if after := listing(t, r.home); !same(before, after) {
				t.Errorf("the host holds %q, held %q", after, before)
			}
		})
	}
}

// give makes a file another user's, which takes root.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("giving files away takes root")
	}
	must(t, os.Lchown(path, 65534, 65534))
}

// A link of one's own leads where it leads, and the place that it leads to is used.
func TestOwnLinksAreFollowed(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	must(t, os.Mkdir(filepath.Join(r.home, "real"), 0o700))
	must(t, os.Symlink("real", filepath.Join(r.home, "link")))
	o := r.options()
	o.Prefix = filepath.Join(r.home, "link", "dir")
	j := r.start(o)
	waitEvent[Started](j, 1)
	if got, want := waitEvent[Probed](j, 1).Run, filepath.Join(r.home, "real", "dir"); filepath.Dir(got) != want {
		t.Errorf("the run directory is %s, want one in %s", got, want)
	}
	j.stopped()
}

// A hard link to something else in the place of the binary goes, and what it is a link to stays.
func TestHardLinkInTheCache(t *testing.T) {
	r := newRig(t, sshtest.Options{})
	other := filepath.Join(r.home, "other")
	must(t, os.WriteFile(other, []byte("#!/bin/sh\nexit 0\n"), 0o700))
	bin := filepath.Join(r.prefix, "cache", r.binary.SHA256, "spore")
	must(t, os.MkdirAll(filepath.Dir(bin), 0o700))
	must(t, os.Link(other, bin))
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	if waitEvent[Probed](j, 1).Cached || !saw[Warning](j) {
		t.Errorf("the poisoned cache was used:\n%s", j.story())
	}
	j.stopped()
	if text, err := os.ReadFile(other); err != nil || string(text) != "#!/bin/sh\nexit 0\n" {
		t.Errorf("what the link was to is now %q, %v", text, err)
	}
}

// A mount that forbids execution shows as a program that cannot be made executable.
func TestNoexecIsRefused(t *testing.T) {
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "chmod"), []byte("#!/bin/sh\nexit 0\n"), 0o755))
	r := newRig(t, sshtest.Options{Env: []string{"PATH=" + bin + ":/usr/bin:/bin"}})
	_, err := r.start(r.options()).end()
	if err == nil || !strings.Contains(err.Error(), "does not allow execution") {
		t.Errorf("error %v", err)
	}
	r.wantNothing()
}

// Hosts differ in the tools they have; without any that can hash, the file is read back.
func TestHashTools(t *testing.T) {
	for _, tool := range []string{"b2sum", "sha256sum", "openssl", ""} {
		t.Run("with "+tool, func(t *testing.T) {
			r := newRig(t, sshtest.Options{Env: []string{"PATH=" + onlyTool(t, tool) + ":/usr/bin:/bin"}})
			for _, cached := range []bool{false, true} {
				j := r.start(r.options())
				waitEvent[Started](j, 1)
				if got := waitEvent[Probed](j, 1).Cached; got != cached {
					t.Errorf("cached is %v, want %v", got, cached)
				}
				j.stopped()
				r.wantOnlyCache()
			}
			must(t, os.WriteFile(filepath.Join(r.prefix, "cache", r.binary.SHA256, "spore"), []byte("evil"), 0o700))
			j := r.start(r.options())
			waitEvent[Started](j, 1)
			if waitEvent[Probed](j, 1).Cached || !saw[Warning](j) {
				t.Errorf("the poisoned cache was used:\n%s", j.story())
			}
			j.stopped()
		})
	}
}

// onlyTool makes a directory of hash tools that fail, but for one, to be put in front of PATH.
func onlyTool(t *testing.T, keep string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tool := range []string{"b2sum", "openssl", "sha256sum", "shasum", "sha256"} {
		if tool != keep {
			must(t, os.WriteFile(filepath.Join(dir, tool), []byte("#!/bin/sh\nexit 127\n"), 0o755))
		}
	}
	return dir
}

func TestStaleRunDirectories(t *testing.T) {
	if _, err := exec.LookPath("flock"); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, sshtest.Options{})
	held := staleDir(t, r.prefix, "run-heldheldheldheld", true, 0)
	lock, err := os.Open(filepath.Join(held, "lock"))
	must(t, err)
	defer lock.Close()
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	want := map[string]bool{
		held: true,
		staleDir(t, r.prefix, "run-freefreefreefree", true, 0):                false,
		staleDir(t, r.prefix, "run-youngyoungyoungy", false, time.Hour):       true,
		staleDir(t, r.prefix, "run-oldoldoldoldoldo", false, 3*24*time.Hour):  false,
		staleDir(t, r.prefix, "run-notours", true, 0):                         true,
		staleDir(t, r.prefix, "something-else-of-old", true, 30*24*time.Hour): true,
	}
	j := r.start(r.options())
	waitEvent[Started](j, 1)
	j.stopped()
	for dir, kept := range want {
		if _, err := os.Lstat(dir); (err == nil) != kept {
			t.Errorf("%s: kept is %v, want %v", dir, err == nil, kept)
		}
	}
}

func staleDir(t *testing.T, prefix, name string, locked bool, age time.Duration) string {
	t.Helper()
	dir := filepath.Join(prefix, name)
	must(t, os.MkdirAll(dir, 0o700))
	if locked {
		must(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
	}
	then := time.Now().Add(-age)
	must(t, os.Chtimes(dir, then, then))
	return dir
}

func TestGoArch(t *testing.T) {
	for machine, want := range map[string]string{
		"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm",
		"i686": "386", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x",
	} {
		if got := goArch(machine); got != want {
			t.Errorf("goArch(%s) = %s, want %s", machine, got, want)
		}
	}
}
