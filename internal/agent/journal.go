package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"spore/internal/view"
)

// keep is how many records a journal holds for those who come back after a cut.
const keep = 8192

// A journal numbers the records of an agent and keeps the latest. It never waits for a reader: one
// that is too slow, or was away for too long, is told how much it missed.
type journal struct {
	mu     sync.Mutex
	first  int64 // Seq of the oldest record that it ever had
	last   int64 // that of the newest
	ring   [keep]view.Record
	closed bool
	moved  chan struct{} // closed and replaced at every record

	followers int
	read      chan struct{} // closed once the journal is, and nobody follows any more
}

func newJournal() *journal { return newJournalAfter(0) }

// newJournalAfter returns one that goes on where another ended, at the record with this number.
func newJournalAfter(last int64) *journal {
	return &journal{first: last + 1, last: last, moved: make(chan struct{}), read: make(chan struct{})}
}

// Emit adds r.
func (j *journal) Emit(r view.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.last++
	r.Seq = j.last
	j.ring[r.Seq%keep] = r
	j.wake()
}

// close adds r as the last record, and gives those who follow until bound to have read it.
func (j *journal) close(r view.Record, bound time.Duration) {
	j.Emit(r)
	j.mu.Lock()
	j.closed = true
	j.wake()
	j.noteRead()
	j.mu.Unlock()
	select {
	case <-j.read:
	case <-time.After(bound):
	}
}

func (j *journal) noteRead() {
	select {
	case <-j.read:
	default:
		if j.closed && j.followers == 0 {
			close(j.read)
		}
	}
}

// enter and leave count those who follow.
func (j *journal) enter() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.followers++
}

func (j *journal) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.followers--
	j.noteRead()
}

func (j *journal) wake() {
	close(j.moved)
	j.moved = make(chan struct{})
}

// follow writes the records after since, those to come as well, until the journal is closed, ctx is
// done, or write fails.
func (j *journal) follow(ctx context.Context, since int64, write func(view.Record) error) error {
	j.enter()
	defer j.leave()
	for {
		batch, moved, closed := j.after(since)
		for _, r := range batch {
			if err := write(r); err != nil {
				return err
			}
			since = r.Seq
		}
		if len(batch) > 0 {
			continue
		}
		if closed {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

// after returns some of the records after since, oldest first, and a channel that is closed when
// there are more.
func (j *journal) after(since int64) (batch []view.Record, moved <-chan struct{}, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if oldest := max(j.first, j.last-keep+1); since+1 < oldest {
		batch = append(batch, view.Record{
			Seq: oldest - 1, Time: time.Now(), Type: view.Log, Level: slog.LevelWarn,
			Message: fmt.Sprintf("%d records were lost while nobody listened", oldest-1-since),
		})
		since = oldest - 1
	}
	for seq := since + 1; seq <= j.last && len(batch) < 256; seq++ {
		batch = append(batch, j.ring[seq%keep])
	}
	return batch, j.moved, j.closed
}
