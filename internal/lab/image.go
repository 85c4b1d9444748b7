package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const suite = "bookworm"

// packages is what a host has beyond Debian's minimal base. python3 is there for the benchmarks
// that compare with Ansible, libpam-systemd for Options.Logind, tcsh and busybox-static for tests
// of hosts whose shell is one of these, sudo and opendoas for those of becoming root.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "openssh-sftp-server",
	"sudo", "opendoas", "iproute2", "procps", "python3", "tcsh", "busybox-static",
}

// masked units cost start-up time, wake-ups or inotify instances and serve nothing in a lab.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
	"e2scrub_reap.service", "fstrim.timer", "systemd-tmpfiles-clean.timer", "console-getty.service",
	"getty.target", "getty-static.service", "systemd-ask-password-console.path",
	"systemd-ask-password-wall.path", "systemd-journal-flush.service", "systemd-logind.service",
	"systemd-networkd.service", "systemd-networkd.socket", "systemd-resolved.service", "systemd-timesyncd.service",
	"systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-udevd.service",
	"systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-initctl.socket",
	"dev-hugepages.mount", "sys-fs-fuse-connections.mount", "modprobe@.service",
}

// unneeded paths are removed from the image to keep it small, host keys because each host gets its own.
var unneeded = []string{
	"etc/ssh/ssh_host_*", "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt/*",
	"usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "etc/machine-id",
}

//go:embed image
var imageFiles embed.FS

// Image returns the root directory of the hosts' image, which it builds first where the cache
// does not have it. That takes a minute or two and needs a Debian mirror.
func Image(ctx context.Context, log *slog.Logger) (string, error) {
	if err := supported(); err != nil {
		return "", err
	}
	if log == nil {
		log = slog.Default()
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", fmt.Errorf("create image cache: %w", err)
	}
	if err := ensureTools(ctx, log); err != nil {
		return "", err
	}
	root := filepath.Join(cacheDir, recipe())
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	unlock, err := flock(ctx, filepath.Join(cacheDir, "image.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	if err := build(ctx, log, root); err != nil {
		return "", fmt.Errorf("build image: %w", err)
	}
	return root, nil
}

// recipe names the image after all that goes into it.
func recipe() string {
	h := sha256.New()
	fmt.Fprintln(h, suite, packages, masked, unneeded)
	fs.WalkDir(imageFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := imageFiles.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		}
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// build makes the image aside and renames it into place, so that there is never half of one.
// The caller holds the image lock: whatever build directories exist are a killed run's.
func build(ctx context.Context, log *slog.Logger, root string) error {
	stale, _ := filepath.Glob(filepath.Join(cacheDir, "build-*"))
	for _, dir := range stale {
		if err := removeDisk(dir); err != nil {
			return err
		}
	}
	tmp, err := os.MkdirTemp(cacheDir, "build-")
	if err != nil {
		return err
	}
	defer removeDisk(tmp)
	from := mirror(aptSources("/etc/apt"), suite)
	log.Info("lab: building the image, once", "suite", suite, "mirror", redacted(from), "path", root)
	start := time.Now()
	argv := []string{"debootstrap", "--variant=minbase", "--include=" + strings.Join(packages, ","), suite, tmp}
	if from != "" {
		argv = append(argv, from)
	}
	if _, err := run(ctx, nil, argv...); err != nil {
		return err
	}
	if err := prepare(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(tmp, root); err != nil {
		return err
	}
	log.Info("lab: image built", "took", time.Since(start).Round(time.Second))
	return nil
}

// prepare turns a fresh Debian into a lab host's.
func prepare(root string) error {
	for _, pattern := range unneeded {
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	for _, unit := range masked {
		link := filepath.Join(root, "etc/systemd/system", unit)
		os.Remove(link)
		if err := os.Symlink("/dev/null", link); err != nil {
			return err
		}
	}
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		return err
	}
	return copyFiles(root, files)
}

func copyFiles(root string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(root, path)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
}

// redacted is a mirror's address without the password that it may carry.
func redacted(mirror string) string {
	u, err := url.Parse(mirror)
	if err != nil {
		return "(unreadable)"
	}
	u.User = nil
	return u.String()
}
