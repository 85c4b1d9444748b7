package view

import (
	"fmt"
	"io"
)

// progress is the line at the bottom of a terminal while binaries are being copied.
type progress struct {
	bytes map[string][2]int64 // by host: done, total
	drawn bool
}

func (p *progress) set(r Record) {
	if r.Done >= r.Total {
		delete(p.bytes, r.Host)
		return
	}
	p.bytes[r.Host] = [2]int64{r.Done, r.Total}
}

// drop forgets a host to which nothing is being copied any more.
func (p *progress) drop(host string) { delete(p.bytes, host) }

func (p *progress) clear() { clear(p.bytes) }

func (p *progress) draw(w io.Writer) {
	if len(p.bytes) == 0 {
		p.erase(w)
		return
	}
	var done, total int64
	for _, b := range p.bytes {
		done += b[0]
		total += b[1]
	}
	hosts := "hosts"
	if len(p.bytes) == 1 {
		hosts = "host"
	}
	fmt.Fprintf(w, "\r\x1b[Kcopying to %d %s: %s of %s, %d %%", len(p.bytes), hosts, Bytes(done), Bytes(total), 100*done/max(total, 1))
	p.drawn = true
}

func (p *progress) erase(w io.Writer) {
	if p.drawn {
		fmt.Fprint(w, "\r\x1b[K")
		p.drawn = false
	}
}

// Bytes gives a number of bytes for people, in binary units.
func Bytes(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
