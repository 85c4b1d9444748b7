package view

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/engine"
)

// shown returns what a view of lines makes of records: what went to Out, and what to Err.
func shown(o TextOptions, records ...Record) (out, err string) {
	var stdout, stderr bytes.Buffer
	o.Out, o.Err = &stdout, &stderr
	v := NewText(o)
	for _, r := range records {
		v.Emit(r)
	}
	return stdout.String(), stderr.String()
}

func event(state engine.State, problem string, changes ...engine.Change) Record {
	return Record{Type: Resource, Host: "a", Event: &engine.Event{
		Resource: engine.ID{Kind: "file", Name: "motd"}, State: state, Err: problem, Changes: changes,
	}}
}

func TestTextLines(t *testing.T) {
	content := engine.Change{Field: "content", Diff: "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n"}
	mode := engine.Change{Field: "mode", From: "0600", To: "0644"}
	for _, c := range []struct {
		name   string
		o      TextOptions
		record Record
		want   string
	}{
		{"a change", TextOptions{}, event(engine.OK, "", mode, engine.Change{Field: "owner", To: "root"}),
			"file/motd changed: mode: 0600 → 0644, owner: (none) → root\n"},
		{"a change without the difference of texts", TextOptions{}, event(engine.OK, "", content), "file/motd changed: content\n"},
		{"a change with it", TextOptions{Diff: true}, event(engine.OK, "", content),
			"file/motd changed: content\n  --- a\n  +++ b\n  @@ -1 +1 @@\n  -old\n  +new\n"},
		{"a difference", TextOptions{}, event(engine.Differs, "", mode), "file/motd would change: mode: 0600 → 0644\n"},
		{"a failure of several lines", TextOptions{Hosts: true}, event(engine.Failed, "apply: no\nreally"),
			"a  file/motd failed: apply: no\na  really\n"},
		{"a dependent", TextOptions{}, event(engine.Skipped, "needs exec/x, which failed"), "file/motd skipped: needs exec/x, which failed\n"},
		{"no event", TextOptions{}, Record{Type: Resource}, ""},
		{"attributes in order, the error last but for its name", TextOptions{},
			Record{Type: Log, Message: "failed", Attrs: map[string]string{"try": "1", "err": "gone", "resource": "exec/x"}},
			"exec/x: failed: gone try=1\n"},
		{"what there is to say of convergence", TextOptions{}, Record{Type: Converged, Message: "converged after 2s"}, "converged after 2s\n"},
		{"and if there is nothing", TextOptions{}, Record{Type: Converged}, "converged\n"},
		{"that it is over says nothing", TextOptions{}, Record{Type: Diverged}, ""},
		{"a link", TextOptions{Hosts: true}, Record{Type: Link, Host: "web", Message: "connection lost"}, "web  connection lost\n"},
		{"colours", TextOptions{Colour: true}, event(engine.OK, "", mode), "\x1b[32mfile/motd changed: mode: 0600 → 0644\x1b[0m\n"},
		{"of levels", TextOptions{Colour: true, Hosts: true}, Record{Type: Log, Level: slog.LevelWarn, Host: "a", Message: "careful"},
			"\x1b[1ma\x1b[0m  \x1b[33mcareful\x1b[0m\n"},
		{"nothing that a terminal would act on", TextOptions{Colour: true, Hosts: true},
			Record{Type: Log, Host: "a\x1b[5m", Message: "x\x1b[2J\x07y\u202e", Attrs: map[string]string{"k": "\x9b1m"}},
			"\x1b[1ma�[5m\x1b[0m  x�[2J�y� k=�1m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, got := shown(c.o, c.record)
			// The host's name is padded to the longest so far: that of the record itself.
			if got != c.want || out != "" {
				t.Errorf("shown as\n%q, want\n%q; on standard output %q", got, c.want, out)
			}
		})
	}
}

func TestTextAlignsHosts(t *testing.T) {
	_, got := shown(TextOptions{Hosts: true},
		Record{Type: Link, Host: "a", Message: "one"},
		Record{Type: Link, Host: "longer", Message: "two"},
		Record{Type: Link, Host: "b", Message: "three"})
	if want := "a  one\nlonger  two\nb       three\n"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func recapOf(host, state, problem string, c engine.Counts) Record {
	return Record{Type: Summary, Host: host, Recap: &Recap{
		Counts: c, State: state, Error: problem, Sent: 3 << 20, Took: 1234 * time.Millisecond,
	}}
}

func TestRecap(t *testing.T) {
	for width, reason := range map[int]string{
		0:   strings.Repeat("é", 100),
		200: strings.Repeat("é", 100),
		100: strings.Repeat("é", 25) + " …", // a hundred in all
		10:  strings.Repeat("é", 18) + " …",
	} {
		out, _ := shown(TextOptions{Width: width},
			recapOf("a", StateConverged, "", engine.Counts{Total: 3, OK: 3, Changed: 1}),
			recapOf("long.example", StateFailed, "exec/x: no\x1b[2J\nmore of it", engine.Counts{Total: 3, OK: 1, Failed: 1, Skipped: 1}),
			recapOf("far", StateUnreachable, strings.Repeat("é", 100), engine.Counts{}),
			Record{Type: End})
		want := "" +
			"HOST          OK  CHANGED  FAILED  SKIPPED  SENT     TIME   STATE\n" +
			"a             3   1        0       0        3.0 MiB  1.23s  converged\n" +
			"long.example  1   0        1       1        3.0 MiB  1.23s  failed: exec/x: no�[2J …\n" +
			"far           0   0        0       0        3.0 MiB  1.23s  unreachable: " + reason + "\n"
		if out != want {
			t.Errorf("in %d columns, got\n%s, want\n%s", width, out, want)
		}
	}
}

func TestRecapOfDryRun(t *testing.T) {
	out, _ := shown(TextOptions{}, recapOf("a", StateConverged, "", engine.Counts{Total: 3, OK: 1, Differs: 2}), Record{Type: End})
	for _, want := range []string{"WOULD CHANGE", "a     1   2 "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestRecapColours(t *testing.T) {
	for state, colour := range map[string]string{
		StateConverged: "32", StateFailed: "31", StateUnreachable: "31", StateInterrupted: "33",
	} {
		records := []Record{recapOf("a", state, "", engine.Counts{}), {Type: End}}
		if out, _ := shown(TextOptions{ColourRecap: true}, records...); !strings.Contains(out, "\x1b["+colour+"m"+state+"\x1b[0m") {
			t.Errorf("%s is shown as %q", state, out)
		}
		if out, _ := shown(TextOptions{Colour: true}, records...); strings.Contains(out, "\x1b") {
			t.Errorf("without colour, %s is shown as %q", state, out)
		}
	}
}

func TestNoRecapWithoutHosts(t *testing.T) {
	if out, err := shown(TextOptions{Terminal: true}, Record{Type: End}); out != "" || err != "" {
		t.Errorf("got %q and %q, want nothing", out, err)
	}
}

func TestProgress(t *testing.T) {
	at := func(host string, done, total int64) Record {
		return Record{Type: Progress, Host: host, Done: done, Total: total}
	}
	_, got := shown(TextOptions{Terminal: true},
		at("a", 1<<20, 4<<20),
		at("b", 0, 4<<20),
		Record{Type: Log, Host: "c", Message: "hello"},
		at("a", 4<<20, 4<<20),
		Record{Type: Log, Host: "b", Level: slog.LevelError, Message: "gone"},
	)
	const erase = "\r\x1b[K"
	want := erase + "copying to 1 host: 1.0 MiB of 4.0 MiB, 25 %" +
		erase + "copying to 2 hosts: 1.0 MiB of 8.0 MiB, 12 %" +
		erase + "hello\n" + erase + "copying to 2 hosts: 1.0 MiB of 8.0 MiB, 12 %" +
		erase + "copying to 1 host: 0 B of 4.0 MiB, 0 %" +
		erase + "gone\n"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if _, got := shown(TextOptions{}, at("a", 1, 4)); got != "" {
		t.Errorf("where there is no terminal: %q", got)
	}
}

func TestProgressRate(t *testing.T) {
	begin := time.Now()
	at := func(seconds float64, done int64) Record {
		return Record{Type: Progress, Host: "a", Time: begin.Add(time.Duration(seconds * float64(time.Second))), Done: done, Total: 64 << 20}
	}
	_, got := shown(TextOptions{Terminal: true},
		at(0, 1<<20), at(0.25, 4<<20), at(0.7, 5<<20), at(2.25, 8<<20), // buffers take the first of it at once
		at(3, 0), at(4, 1<<20))
	var rates []string
	for _, line := range strings.Split(got, "\r\x1b[K") {
		_, rate, _ := strings.Cut(line, "%")
		rates = append(rates, rate)
	}
	if want := []string{"", "", "", "", ", 2.0 MiB/s", "", ", 1.0 MiB/s"}; !slices.Equal(rates, want) {
		t.Errorf("rates %q, want %q", rates, want)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 25 << 20: "25.0 MiB", 3 << 40: "3.0 TiB", 5000 << 40: "5000.0 TiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext, größer": "plain\ttext, größer",
		"\x1b]0;title\x07":    "�]0;title�",
		"a\r\nb":              "a��b",
		"\u009b31m":           "�31m",
		"left\u202eright":     "left�right",
		"\xff":                "�",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) is %q, want %q", in, got, want)
		}
	}
}

// Many goroutines use one view; the race detector watches.
func TestTextIsForConcurrentUse(t *testing.T) {
	var out bytes.Buffer
	v := NewText(TextOptions{Out: &out, Err: &out, Terminal: true, Hosts: true})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				v.Emit(Record{Type: Link, Host: "a", Message: "line"})
				v.Emit(Record{Type: Progress, Host: "a", Done: 1, Total: 2})
			}
		})
	}
	all.Wait()
	if n := strings.Count(out.String(), "a  line\n"); n != 400 {
		t.Errorf("%d whole lines, want 400", n)
	}
}

// What ends a run while binaries are being copied leaves no half line in front of the recap.
func TestRecapOnAFreshLine(t *testing.T) {
	var terminal strings.Builder
	v := NewText(TextOptions{Out: &terminal, Err: &terminal, Terminal: true})
	v.Emit(Record{Type: Progress, Host: "a", Done: 1, Total: 2})
	v.Emit(Record{Type: Summary, Host: "a", Recap: &Recap{State: StateInterrupted}})
	v.Emit(Record{Type: End})
	if !strings.Contains(terminal.String(), "\r\x1b[KHOST ") {
		t.Errorf("got %q", terminal.String())
	}
}
