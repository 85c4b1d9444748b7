package view

import (
	"fmt"
	"io"
	"time"
)

// progress is the line at the bottom of a terminal while binaries are being copied.
type progress struct {
	bytes map[string]copying // by host
	drawn bool
}

// copying is how far a binary is on its way to one host.
type copying struct {
	done, total int64
	begun, last time.Time
	first       int64 // what was done at since, from when on the rate is measured
	since       time.Time
}

// burst is how long what is sent may only fill buffers on the way, which tells nothing of the way.
const burst = time.Second / 2

// rate is in bytes a second; 0 while it cannot be told.
func (c copying) rate() float64 {
	took := c.last.Sub(c.since)
	if took < burst {
		return 0
	}
	return float64(c.done-c.first) / took.Seconds()
}

func (p *progress) set(r Record) {
	if r.Done >= r.Total {
		delete(p.bytes, r.Host)
		return
	}
	c, ok := p.bytes[r.Host]
	if !ok || r.Done < c.done {
		c = copying{begun: r.Time}
	}
	if r.Time.Sub(c.begun) < burst {
		c.first, c.since = r.Done, r.Time
	}
	c.done, c.total, c.last = r.Done, r.Total, r.Time
	p.bytes[r.Host] = c
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
	var rate float64
	for _, c := range p.bytes {
		done += c.done
		total += c.total
		rate += c.rate()
	}
	hosts := "hosts"
	if len(p.bytes) == 1 {
		hosts = "host"
	}
	fmt.Fprintf(w, "\r\x1b[Kcopying to %d %s: %s of %s, %d %%", len(p.bytes), hosts, Bytes(done), Bytes(total), 100*done/max(total, 1))
	if rate > 0 {
		fmt.Fprintf(w, ", %s/s", Bytes(int64(rate)))
	}
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
