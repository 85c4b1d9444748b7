package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/term"

	"spore/internal/cluster"
)

// A painter paints each status over the one before, in one write, so that nothing flickers.
type painter struct {
	out    io.Writer
	colour bool
	size   func() (columns, lines int) // of the terminal; 0 if it does not say
	now    func() time.Time
	begun  bool
}

func (p *painter) paint(s cluster.Status) error {
	var text strings.Builder
	if err := s.Write(&text, p.colour); err != nil {
		return err
	}
	var frame strings.Builder
	if !p.begun {
		frame.WriteString("\x1b[?25l\x1b[?7l\x1b[2J") // no cursor, no line goes on in the next, an empty screen
		p.begun = true
	}
	frame.WriteString("\x1b[H")
	columns, most := p.size()
	all := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	clock := p.now().Format(time.TimeOnly) + "; ^C ends it"
	if most > 2 && len(all)+1 >= most {
		clock = fmt.Sprintf("… and %d more lines; %s", len(all)-most+2, clock)
		all = all[:most-2]
	}
	for _, line := range append(all, clock) {
		frame.WriteString(cluster.Cut(line, columns) + "\x1b[K\r\n")
	}
	frame.WriteString("\x1b[J")
	_, err := io.WriteString(p.out, frame.String())
	return err
}

// end leaves the terminal as it was.
func (p *painter) end() {
	if p.begun {
		_, _ = io.WriteString(p.out, "\x1b[?7h\x1b[?25h")
	}
}

// size returns what tells how many columns and lines a terminal has; 0 if it does not say.
func size(w io.Writer) func() (columns, lines int) {
	f, ok := file(w)
	return func() (int, int) {
		if !ok {
			return 0, 0
		}
		columns, lines, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0, 0
		}
		return columns, lines
	}
}
