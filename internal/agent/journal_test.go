package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spore/internal/view"
)

func numbered(n int) view.Record { return view.Record{Message: strconv.Itoa(n)} }

// read follows j from since on to its end.
func read(t *testing.T, j *journal, since int64) (all []view.Record) {
	t.Helper()
	err := j.follow(t.Context(), since, func(r view.Record) error {
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inOrder checks that records are those from first to last, numbered so.
func inOrder(t *testing.T, all []view.Record, first, last int) {
	t.Helper()
	if len(all) != last-first+1 {
		t.Fatalf("%d records, want %d", len(all), last-first+1)
	}
	for i, r := range all {
		if r.Seq != int64(first+i) || r.Message != strconv.Itoa(first+i) {
			t.Fatalf("record %d is %d %q", first+i, r.Seq, r.Message)
		}
	}
}

func TestJournalFollowsFromBeginningToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		j.Emit(numbered(1))
		var all, late []view.Record
		var readers sync.WaitGroup
		readers.Go(func() { all = read(t, j, 0) })
		synctest.Wait()
		for n := 2; n <= 1000; n++ {
			j.Emit(numbered(n))
		}
		readers.Go(func() { late = read(t, j, 990) })
		j.close(numbered(1001), time.Second)
		readers.Wait()
		inOrder(t, all, 1, 1001)
		inOrder(t, late, 991, 1001)
		j.Emit(numbered(1002)) // after the end: nobody hears it
		inOrder(t, read(t, j, 1000), 1001, 1001)
	})
}

func TestJournalTellsWhatWasLost(t *testing.T) {
	j := newJournal()
	for n := 1; n <= keep+10; n++ {
		j.Emit(numbered(n))
	}
	j.close(numbered(keep+11), 0)
	all := read(t, j, 4) // 5 to 11 are gone
	if want := "7 records were lost while nobody listened"; all[0].Message != want || all[0].Seq != 11 {
		t.Errorf("the first is %d %q, want 11 %q", all[0].Seq, all[0].Message, want)
	}
	inOrder(t, all[1:], 12, keep+11)
	inOrder(t, read(t, j, 11), 12, keep+11) // just kept: nothing is lost
}

func TestJournalDoesNotWaitForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		j.Emit(numbered(1))
		block := make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			_ = j.follow(t.Context(), 0, func(view.Record) error { <-block; return nil })
		})
		synctest.Wait()
		for n := range 3 * keep {
			j.Emit(numbered(n))
		}
		start := time.Now()
		j.close(view.Record{}, 5*time.Second)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the end waited %v for a reader that hangs, want 5s", took)
		}
		close(block)
		reader.Wait()
	})
}

func TestJournalFollowEnds(t *testing.T) {
	j := newJournal()
	j.Emit(numbered(1))
	broken := errors.New("broken pipe")
	if err := j.follow(t.Context(), 0, func(view.Record) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the writer", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := j.follow(ctx, 0, func(view.Record) error { cancel(); return nil }); err != nil {
		t.Errorf("got %v, want none when it is told to end", err)
	}
}

func TestJournalIsForConcurrentUse(t *testing.T) {
	j := newJournal()
	var writers, readers sync.WaitGroup
	counts := make([]int, 4)
	for i := range counts {
		readers.Go(func() { counts[i] = len(read(t, j, 0)) })
	}
	for range 4 {
		writers.Go(func() {
			for n := range 500 {
				j.Emit(numbered(n))
			}
		})
	}
	writers.Wait()
	j.close(view.Record{}, time.Minute)
	readers.Wait()
	if fmt.Sprint(counts) != "[2001 2001 2001 2001]" {
		t.Errorf("the readers got %v records, want 2001 each", counts)
	}
}
