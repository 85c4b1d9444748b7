package resident

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"spore/etcd"
)

func newSnapshots(t *testing.T) (s snapshots, taken *int) {
	taken = new(int)
	return snapshots{
		dir: filepath.Join(t.TempDir(), "snapshots"),
		take: func(_ context.Context, w io.Writer) error {
			*taken++
			_, err := w.Write([]byte("content"))
			return err
		},
		free: func(string) (int64, error) { return 100, nil },
	}, taken
}

func TestSnapshotsAreTakenAndGo(t *testing.T) {
	s, taken := newSnapshots(t)
	begin := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	now := begin
	for ; now.Before(begin.Add(10 * 24 * time.Hour)); now = now.Add(10 * time.Minute) {
		if err := s.keep(t.Context(), now, 50); err != nil {
			t.Fatal(err)
		}
	}
	if *taken != 240 {
		t.Errorf("%d were taken in 240 hours", *taken)
	}
	times, err := s.list()
	if err != nil {
		t.Fatal(err)
	}
	// The last one was taken at 23:30 of the tenth day.
	last := begin.Add(239 * time.Hour)
	var want []time.Time
	for day := 6; day > 0; day-- {
		want = append(want, time.Date(2026, 3, 10-day, 23, 30, 0, 0, time.UTC))
	}
	for hours := 5; hours >= 0; hours-- {
		want = append(want, last.Add(time.Duration(-hours)*time.Hour))
	}
	if !slices.Equal(times, want) {
		t.Errorf("kept are\n%v, want\n%v", times, want)
	}
}

func TestNoSnapshotTakesTheRestOfTheDisk(t *testing.T) {
	s, taken := newSnapshots(t)
	if err := s.keep(t.Context(), time.Now(), 51); err == nil || *taken > 0 {
		t.Errorf("a snapshot was taken on a full disk (%v)", err)
	}
}

// A snapshot that fails leaves nothing, nor does one during which the host went down.
func TestHalfASnapshotIsNone(t *testing.T) {
	s, _ := newSnapshots(t)
	whole := s.take
	s.take = func(_ context.Context, w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return errors.New("the store is gone")
	}
	now := time.Now()
	if err := s.keep(t.Context(), now, 1); err == nil {
		t.Error("half a snapshot is taken for one")
	}
	if err := os.WriteFile(filepath.Join(s.dir, ".snapshot-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.take = whole
	if err := s.keep(t.Context(), now, 1); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("there are %v (%v)", entries, err)
	}
	if text, _ := os.ReadFile(filepath.Join(s.dir, entries[0].Name())); string(text) != "content" {
		t.Errorf("it holds %q", text)
	}
}

// A clock that was ahead for a while must not stop snapshots until then.
func TestSnapshotsAfterTheClockWentBack(t *testing.T) {
	s, taken := newSnapshots(t)
	now := time.Now()
	for _, at := range []time.Time{now.Add(1000 * time.Hour), now} {
		if err := s.keep(t.Context(), at, 1); err != nil {
			t.Fatal(err)
		}
	}
	if *taken != 2 {
		t.Errorf("%d were taken, want 2", *taken)
	}
}

func TestFreeBytes(t *testing.T) {
	if n, err := freeBytes(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("got %d, %v", n, err)
	}
}

// A store that has come to its quota says that it is not well until it has been defragmented.
func TestAFullStoreIsDefragmented(t *testing.T) {
	const alarm = "memberID:1 alarm:NOSPACE "
	for name, test := range map[string]struct {
		status etcd.MemberStatus
		want   bool
	}{
		"small":           {etcd.MemberStatus{Leader: 1, Size: worthwhile - 1}, false},
		"half empty":      {etcd.MemberStatus{Leader: 1, Size: 2 * worthwhile, InUse: worthwhile}, true},
		"used":            {etcd.MemberStatus{Leader: 1, Size: 2 * worthwhile, InUse: worthwhile + 1}, false},
		"full, half used": {etcd.MemberStatus{Leader: 1, Size: 100, InUse: 80, Errors: []string{alarm}}, true},
		"full of use":     {etcd.MemberStatus{Leader: 1, Size: 100, InUse: 95, Errors: []string{alarm}}, false},
		"without leader":  {etcd.MemberStatus{Size: worthwhile, Errors: []string{"etcdserver: no leader"}}, false},
		"corrupt":         {etcd.MemberStatus{Leader: 1, Size: worthwhile, Errors: []string{alarm, "alarm:CORRUPT "}}, false},
	} {
		if got := well(test.status) && wasteful(test.status); got != test.want {
			t.Errorf("%s: defragmented is %v, want %v", name, got, test.want)
		}
	}
}
