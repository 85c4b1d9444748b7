package resident

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"spore/internal/agent"
	"spore/internal/view"
)

// LogsOptions say which records to show.
type LogsOptions struct {
	Since   int64 // only those after the one of this number
	Lines   int   // of those on disk, only so many of the last; all if 0
	Follow  bool  // go on with those to come
	Version string
}

// reattach is the wait before an agent that has ended, or restarts, is looked for again.
const reattach = 200 * time.Millisecond

// Logs writes the records of the host's agents to out as JSON lines. If they are to be followed, it
// does so over restarts of the agent, until ctx is done.
func Logs(ctx context.Context, l Layout, o LogsOptions, out io.Writer) error {
	if _, err := os.Stat(l.config()); errors.Is(err, fs.ErrNotExist) {
		return errors.New("show logs: this host is not one of a detached fleet")
	}
	sink := view.NewJSON(out, o.Version)
	last := o.Since
	emit := func(r view.Record) error {
		last = max(last, r.Seq)
		sink.Emit(r)
		return ctx.Err()
	}
	err := showLast(l, o, emit)
	for err == nil && o.Follow && ctx.Err() == nil {
		if err = readRecords(l, last, emit); err != nil {
			break
		}
		// Of an agent that runs: what it has written to the disk in between is no matter.
		_ = agent.Follow(ctx, l.Dir(), last, emit)
		pause(ctx, reattach)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("show logs: %w", err)
	}
	return nil
}

// showLast shows what is on disk.
func showLast(l Layout, o LogsOptions, emit func(view.Record) error) error {
	if o.Lines <= 0 {
		return readRecords(l, o.Since, emit)
	}
	var tail []view.Record
	err := readRecords(l, o.Since, func(r view.Record) error {
		if len(tail) == 2*o.Lines {
			tail = append(tail[:0], tail[o.Lines:]...)
		}
		tail = append(tail, r)
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range tail[max(0, len(tail)-o.Lines):] {
		if err := emit(r); err != nil {
			return err
		}
	}
	return nil
}
