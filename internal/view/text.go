package view

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"spore/engine"
)

// TextOptions say how NewText shows a run.
type TextOptions struct {
	Out, Err    io.Writer // the recap goes to Out, all else to Err
	Colour      bool      // of what goes to Err
	ColourRecap bool
	Terminal    bool // Err is one: progress is shown
	Width       int  // of the terminal that Out is; 0 if it is none: then nothing is cut
	Diff        bool // show the difference of texts
	Hosts       bool // put the host's name in front
}

// NewText returns a view of lines for people.
func NewText(o TextOptions) Sink {
	return &text{o: o, progress: progress{bytes: map[string]copying{}}}
}

type text struct {
	mu       sync.Mutex
	o        TextOptions
	width    int // of the longest host name so far
	recaps   []Record
	progress progress
}

// Emit shows r.
func (v *text) Emit(r Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r.Type {
	case Log:
		v.log(r)
	case Resource:
		v.resource(r)
	case Link:
		v.progress.drop(r.Host)
		v.line(r, paint(dim, r.Message))
	case Progress:
		v.progress.set(r)
	case Converged:
		v.line(r, paint(green, cmp.Or(r.Message, "converged")))
	case Summary:
		v.recaps = append(v.recaps, r)
	case End:
		v.progress.clear()
		v.progress.erase(v.o.Err)
		v.recap()
	}
	if v.o.Terminal {
		v.progress.draw(v.o.Err)
	}
}

func (v *text) log(r Record) {
	var b strings.Builder
	resource, named := r.Attrs["resource"]
	if named {
		b.WriteString(resource + ": ")
	}
	b.WriteString(r.Message)
	for _, k := range slices.Sorted(maps.Keys(r.Attrs)) {
		switch {
		case k == "resource":
		case k == "err" || k == "error":
			b.WriteString(": " + r.Attrs[k])
		default:
			fmt.Fprintf(&b, " %s=%s", k, r.Attrs[k])
		}
	}
	style := none
	switch {
	case r.Level >= slog.LevelError:
		v.progress.drop(r.Host)
		style = red
	case r.Level >= slog.LevelWarn:
		style = yellow
	case r.Level < slog.LevelInfo:
		style = dim
	}
	v.line(r, paint(style, b.String()))
}

func (v *text) resource(r Record) {
	e := r.Event
	if e == nil {
		return
	}
	switch e.State {
	case engine.Failed:
		v.line(r, paint(red, fmt.Sprintf("%s failed: %s", e.Resource, e.Err)))
	case engine.Skipped:
		v.line(r, paint(yellow, fmt.Sprintf("%s skipped: %s", e.Resource, e.Err)))
	case engine.Differs:
		v.line(r, paint(yellow, fmt.Sprintf("%s would change: %s", e.Resource, changes(e.Changes))))
		v.diffs(r)
	default:
		v.line(r, paint(green, fmt.Sprintf("%s changed: %s", e.Resource, changes(e.Changes))))
		v.diffs(r)
	}
}

func changes(cs []engine.Change) string {
	words := make([]string, len(cs))
	for i, c := range cs {
		words[i] = c.String()
	}
	return strings.Join(words, ", ")
}

func (v *text) diffs(r Record) {
	if !v.o.Diff {
		return
	}
	for _, c := range r.Event.Changes {
		for line := range strings.Lines(c.Diff) {
			style := none
			switch {
			case strings.HasPrefix(line, "+"):
				style = green
			case strings.HasPrefix(line, "-"):
				style = red
			}
			v.line(r, paint(style, "  "+strings.TrimRight(line, "\n")))
		}
	}
}

// line writes one record's text, which may have several lines, each behind the host's name. What
// comes from a host is not trusted: nothing that a terminal would act on gets through.
func (v *text) line(r Record, p painted) {
	if v.o.Terminal {
		v.progress.erase(v.o.Err)
	}
	prefix := ""
	if v.o.Hosts {
		host := Clean(r.Host)
		v.width = max(v.width, utf8.RuneCountInString(host))
		prefix = painted{bold, fmt.Sprintf("%-*s", v.width, host)}.render(v.o.Colour) + "  "
	}
	for l := range strings.SplitSeq(strings.TrimRight(p.text, "\n"), "\n") {
		fmt.Fprintln(v.o.Err, prefix+painted{p.style, Clean(l)}.render(v.o.Colour))
	}
}

// Clean returns s without what a terminal would act on: control characters become "�", but for tabs.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
