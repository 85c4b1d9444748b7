package resident

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spore/internal/view"
)

func newLog(t *testing.T) Layout {
	t.Helper()
	l := Layout{Root: filepath.Join(t.TempDir(), "spore")}
	for _, dir := range []string{l.Root, l.Dir()} {
		if err := makeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeJSON(l.config(), Config{}); err != nil {
		t.Fatal(err)
	}
	return l
}

func record(n int) view.Record { return view.Record{Seq: int64(n), Message: fmt.Sprint("record ", n)} }

// writeRecords writes those with numbers from first to last.
func writeRecords(t *testing.T, r *records, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		if err := r.write(record(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// numbers are those of the records that are shown.
func numbers(t *testing.T, l Layout, o LogsOptions) (all []int64) {
	t.Helper()
	var out bytes.Buffer
	if err := Logs(t.Context(), l, o, &out); err != nil {
		t.Fatal(err)
	}
	return decode(t, &out)
}

func decode(t *testing.T, in io.Reader) (all []int64) {
	t.Helper()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var r view.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Type != view.Start {
			all = append(all, r.Seq)
		}
	}
	return all
}

func span(first, last int64) (all []int64) {
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

func TestRecordsAreKept(t *testing.T) {
	l := newLog(t)
	r := openRecords(l)
	writeRecords(t, r, 1, 5)
	r.close()
	r = openRecords(l)
	defer r.close()
	if r.last != 5 {
		t.Errorf("the last record is %d, want 5", r.last)
	}
	writeRecords(t, r, 6, 9)
	for want, o := range map[string]LogsOptions{
		"[1 2 3 4 5 6 7 8 9]": {}, "[8 9]": {Since: 7}, "[7 8 9]": {Lines: 3}, "[9]": {Lines: 3, Since: 8}, "[]": {Since: 9},
	} {
		if got := fmt.Sprint(numbers(t, l, o)); got != want {
			t.Errorf("%+v shows %s, want %s", o, got, want)
		}
	}
}

func TestOldRecordsGo(t *testing.T) {
	l := newLog(t)
	r := openRecords(l)
	defer r.close()
	r.max = 1000
	writeRecords(t, r, 1, 500)
	for _, path := range []string{l.log(), l.olderLog()} {
		if info, err := os.Stat(path); err != nil || info.Size() > 1000 || info.Size() == 0 {
			t.Errorf("%s: %v (%v)", path, info, err)
		}
	}
	all := numbers(t, l, LogsOptions{})
	if len(all) < 10 || !slices.Equal(all, span(all[0], 500)) {
		t.Errorf("left are %v", all)
	}
}

// A crash leaves half a line, a disk may lose the middle of a file.
func TestDamagedRecordsAreLeftOut(t *testing.T) {
	l := newLog(t)
	r := openRecords(l)
	writeRecords(t, r, 1, 3)
	r.close()
	text, err := os.ReadFile(l.log())
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(text, []byte("record 2"), []byte("\x00\x00\x00\x00\x00\"\x00\x00"), 1)
	if err := os.WriteFile(l.log(), append(damaged, []byte(`{"seq":4,"mess`)...), 0o600); err != nil {
		t.Fatal(err)
	}
	r = openRecords(l)
	defer r.close()
	writeRecords(t, r, 4, 5)
	if got, want := numbers(t, l, LogsOptions{}), []int64{1, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
}

// Where nothing can be written, nothing is, until it can be again.
func TestRecordsWithoutADisk(t *testing.T) {
	l := newLog(t)
	if err := os.WriteFile(l.logs(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRecords(l)
	defer r.close()
	writeRecords(t, r, 1, 3)
	if err := os.Remove(l.logs()); err != nil {
		t.Fatal(err)
	}
	writeRecords(t, r, 4, 5)
	// As a full disk does, which may take the first half of a line.
	whole := r.file
	var err error
	if r.file, err = os.Open(l.log()); err != nil {
		t.Fatal(err)
	}
	writeRecords(t, r, 6, 6)
	whole.Close()
	writeRecords(t, r, 7, 8)
	if got, want := numbers(t, l, LogsOptions{}), []int64{4, 5, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("written were %v, want %v", got, want)
	}
}

func TestLogsOfAHostThatIsNone(t *testing.T) {
	if err := Logs(t.Context(), Layout{Root: t.TempDir()}, LogsOptions{}, io.Discard); err == nil {
		t.Error("there is something to show")
	}
}

// Who follows sees each record once, over restarts of the agent.
func TestLogsAreFollowed(t *testing.T) {
	p := newPlot(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Logs(ctx, p.Layout, LogsOptions{Follow: true}, in); in.Close() }()
	lines := make(chan string, 1000)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	var seen strings.Builder
	shows := func(what string) {
		t.Helper()
		deadline := time.After(patience)
		for !strings.Contains(seen.String(), what) {
			select {
			case l := <-lines:
				seen.WriteString(l + "\n")
			case <-deadline:
				t.Fatalf("%s was not shown, but\n%s", what, seen.String())
			}
		}
	}
	for _, name := range []string{"first", "second", "third"} {
		p.put(p.file(name, "x"))
		r := p.start()
		shows("/" + name)
		r.end()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for len(lines) > 0 {
		seen.WriteString(<-lines + "\n")
	}
	all := decode(t, strings.NewReader(seen.String()))
	if len(all) == 0 || !slices.Equal(all, span(1, all[len(all)-1])) {
		t.Errorf("shown were %v", all)
	}
}
