// Package demo is the main job on two hosts made for the occasion: real ones in a lab, or SSH
// servers inside the process.
package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"spore/internal/view"
)

// A Ground is where a demo takes place.
type Ground struct {
	Hosts     []Host
	SSHConfig string // for spore run -F
	Prefix    string // for spore run --prefix, with the host's name in place of %h; may be empty
	Close     func() error
}

// A Host is one host of a Ground.
type Host struct {
	Name string
	Dir  string // an empty directory of the host, as the host sees it
	Read func(path string) ([]byte, error)
	// Left lists what spore has left on the host.
	Left func() ([]string, error)
}

// A Run runs the graphs until ctx is done or it ends, telling sink.
type Run func(ctx context.Context, graphs []string, sink func(view.Record)) error

// bound is how long a step of the demo may take.
const bound = 2 * time.Minute

// A Demo is a demo under way.
type Demo struct {
	Ground *Ground
	Run    Run
	Out    io.Writer
}

// Play shows convergence, the exchange, one live edit and the clean end. It fails if any of these
// is not as promised.
func (d *Demo) Play(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "spore-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	graphs := make([]string, len(d.Ground.Hosts))
	for i, h := range d.Ground.Hosts {
		graphs[i] = filepath.Join(dir, h.Name+".yaml")
		if err := write(graphs[i], graph(h, "hello from "+h.Name)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	d.say("spore run --remote a.yaml --remote b.yaml")
	ended := make(chan error, 1)
	run, stop := context.WithCancel(ctx)
	defer stop()
	g := newGauge()
	go func() { ended <- d.Run(run, graphs, g.hear) }()
	if err := g.wait(ctx, ended); err != nil {
		return err
	}
	if err := d.show("hello from b"); err != nil {
		return err
	}
	if err := d.edit(ctx, graphs[1]); err != nil {
		return err
	}
	if err := g.wait(ctx, ended); err != nil {
		return err
	}
	d.say("^C")
	stop()
	if err := <-ended; err != nil {
		return err
	}
	return d.leftovers()
}

// graph is a host's graph: a file of its own, one that it exports, and all that is exported.
func graph(h Host, greeting string) string {
	return fmt.Sprintf(`graph: demo
remote: %[1]s
resources:
  file:
  - name: %[2]s/motd
    content: "this is %[1]s, kept by spore\n"
    mode: "0644"
  - name: "@@hello-%[1]s"
    path: %[2]s/hello-%[1]s
    content: "%[3]s\n"
collect:
- kind: file
  pattern: %[2]s/
`, h.Name, h.Dir, greeting)
}

// edit saves another greeting and waits until every host has it.
func (d *Demo) edit(ctx context.Context, path string) error {
	b := d.Ground.Hosts[1]
	d.say("an editor saves b.yaml: another greeting")
	start := time.Now()
	if err := write(path, graph(b, "hello again from b")); err != nil {
		return err
	}
	for _, h := range d.Ground.Hosts {
		for {
			text, _ := h.Read(filepath.Join(h.Dir, "hello-b"))
			if strings.Contains(string(text), "again") {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the edit did not reach host %s", h.Name)
			case <-time.After(time.Millisecond):
			}
		}
	}
	fmt.Fprintf(d.Out, "on both hosts after %v\n", time.Since(start).Round(time.Millisecond))
	return d.show("hello again from b")
}

// show prints the files of every host, and checks that the exchange has brought greeting to each.
func (d *Demo) show(greeting string) error {
	for _, h := range d.Ground.Hosts {
		d.say("on " + h.Name + ": head " + h.Dir + "/*")
		found := false
		for _, name := range []string{"motd", "hello-a", "hello-b"} {
			text, err := h.Read(filepath.Join(h.Dir, name))
			if err != nil {
				return fmt.Errorf("host %s: %w", h.Name, err)
			}
			found = found || strings.Contains(string(text), greeting)
			fmt.Fprintf(d.Out, "%-8s  %s", name, text)
		}
		if !found {
			return fmt.Errorf("host %s has converged without %q", h.Name, greeting)
		}
	}
	return nil
}

// leftovers prints what is left on the hosts, which is the binary alone.
func (d *Demo) leftovers() error {
	d.say("what is left on the hosts, beside their files: the cached binary")
	for _, h := range d.Ground.Hosts {
		left, err := h.Left()
		if err != nil {
			return err
		}
		for _, path := range left {
			fmt.Fprintf(d.Out, "%s  %s\n", h.Name, path)
		}
		if len(left) != 1 || !strings.HasSuffix(left[0], "/spore") {
			return fmt.Errorf("host %s: more is left than the binary", h.Name)
		}
	}
	return nil
}

func (d *Demo) say(text string) { fmt.Fprintf(d.Out, "\n== %s\n", text) }

// write saves text as an editor does: under another name first.
func write(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
