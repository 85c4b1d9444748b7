package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"spore/internal/lab"
)

// A watch looks at the hosts all along, for what must never be.
type watch struct {
	lab   *lab.Lab
	ideal int
	found func(string) // is told each violation, once

	mu        sync.Mutex
	withdrawn []string // paths that are to be on no host
	told      map[string]bool
}

const watchPause = 100 * time.Millisecond

// run watches until ctx is done.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *watch) look() {
	for _, h := range w.lab.Hosts {
		processes, err := h.Processes()
		if err == nil && len(agents(processes)) > 1 {
			w.tell(fmt.Sprintf("host %s runs several agents: %q", h.Name, agents(processes)))
		}
		w.mu.Lock()
		for _, path := range w.withdrawn {
			if _, err := os.Lstat(filepath.Join(h.Root(), path)); err == nil {
				w.tellLocked(fmt.Sprintf("host %s: %s is there again, after it was withdrawn", h.Name, path))
			}
		}
		w.mu.Unlock()
	}
}

// agents returns the command lines of the agents among the processes. A process that an agent has
// begun and that is not another program yet is none.
func agents(processes []lab.Process) []string {
	is := map[int]bool{}
	for _, p := range processes {
		is[p.PID] = isAgent(p.Args)
	}
	var out []string
	for _, p := range processes {
		if is[p.PID] && !is[p.Parent] {
			out = append(out, fmt.Sprintf("%d %s", p.PID, strings.Join(p.Args, " ")))
		}
	}
	slices.Sort(out)
	return out
}

// isAgent knows those of a detached fleet, and those of a run.
func isAgent(args []string) bool {
	if len(args) < 2 || filepath.Base(args[0]) != "spore" {
		return false
	}
	return args[1] == "run" || args[1] == "resident" && len(args) > 2 && args[2] == "agent"
}

// status is shown a status.
func (w *watch) status(s Status) {
	if text := s.overstepped(w.ideal); text != "" {
		w.tell(text)
	}
}

// forbid takes what is withdrawn off the hosts' disks, and watches that it stays away until allow.
func (w *watch) forbid(paths []string) error {
	for _, h := range w.lab.Hosts {
		for _, path := range paths {
			if err := os.RemoveAll(filepath.Join(h.Root(), path)); err != nil {
				return fmt.Errorf("remove what was withdrawn: %w", err)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withdrawn = paths
	return nil
}

func (w *watch) allow() {
	w.look() // for the last time
	w.mu.Lock()
	defer w.mu.Unlock()
	w.withdrawn = nil
}

func (w *watch) tell(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellLocked(text)
}

func (w *watch) tellLocked(text string) {
	if w.told == nil {
		w.told = map[string]bool{}
	}
	if !w.told[text] {
		w.told[text] = true
		w.found(text)
	}
}
