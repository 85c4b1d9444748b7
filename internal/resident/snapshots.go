package resident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (l Layout) snapshots() string { return filepath.Join(l.Store(), "snapshots") }

const (
	snapshotEvery  = time.Hour
	snapshotHours  = 6 // how many of the last are kept
	snapshotDays   = 7 // and the last of how many days
	snapshotForm   = "20060102T150405Z"
	snapshotSuffix = ".db"
)

// snapshots are what the store held at times, as files that are named by those.
type snapshots struct {
	dir  string
	take func(ctx context.Context, w io.Writer) error
	free func(dir string) (int64, error) // bytes
}

// keep takes a snapshot if it is time for one, and removes those that are not to be kept. size is
// that of the store in bytes; where there is not twice as much free on the disk, the store needs
// that more.
func (s snapshots) keep(ctx context.Context, now time.Time, size int64) error {
	if err := makeDir(s.dir); err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	times, err := s.list()
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	if n := len(times); n > 0 && now.Sub(times[n-1]) < snapshotEvery && !times[n-1].After(now) {
		return nil
	}
	free, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	if free < 2*size {
		return errors.New("no snapshot of the store is taken: the disk has less than twice its size left")
	}
	now = now.UTC().Truncate(time.Second)
	if err := s.write(ctx, now); err != nil {
		return err
	}
	return s.prune(append(times, now))
}

// list returns the times of the snapshots, oldest first. What was left half written is removed.
func (s snapshots) list() (times []time.Time, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, e.Name())))
			continue
		}
		name, ok := strings.CutSuffix(e.Name(), snapshotSuffix)
		if t, bad := time.Parse(snapshotForm, name); ok && bad == nil {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, err
}

func (s snapshots) path(t time.Time) string {
	return filepath.Join(s.dir, t.Format(snapshotForm)+snapshotSuffix)
}

func (s snapshots) write(ctx context.Context, now time.Time) error {
	f, err := os.CreateTemp(s.dir, ".snapshot-*")
	if err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	defer os.Remove(f.Name()) // fails if all went well
	err = s.take(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(now)); err != nil {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return syncDir(s.dir)
}

// prune removes the snapshots that are not to be kept.
func (s snapshots) prune(times []time.Time) (err error) {
	slices.SortFunc(times, time.Time.Compare)
	keep := kept(times)
	for _, t := range times {
		if !slices.Contains(keep, t) {
			err = errors.Join(err, os.Remove(s.path(t)))
		}
	}
	return err
}

// kept returns which of times, oldest first, are to be kept: the newest, and the newest of each of
// the last days on which there is one.
func kept(times []time.Time) (keep []time.Time) {
	days := map[string]bool{}
	for i := len(times) - 1; i >= 0; i-- {
		day := times[i].UTC().Format(time.DateOnly)
		first := !days[day] && len(days) < snapshotDays
		if first {
			days[day] = true
		}
		if first || len(times)-i <= snapshotHours {
			keep = append(keep, times[i])
		}
	}
	return keep
}

// freeBytes returns how much is left for this process on the file system of dir.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // their types differ between systems
}
