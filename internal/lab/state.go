package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	runDir   = "/run/spore-lab"
	diskDir  = "/var/lib/spore-lab"
	cacheDir = "/var/cache/spore-lab"
)

// destroyTimeout allows for hundreds of hosts on a busy machine.
const destroyTimeout = 2 * time.Minute

// state is what another process must know to use a lab, or to take away a dead one's remains.
type state struct {
	Name     string   `json:"name"`
	Subnet   subnet   `json:"subnet"`
	Hosts    []string `json:"hosts"`
	Light    bool     `json:"light,omitempty"`
	Isolated bool     `json:"isolated,omitempty"`
	Password string   `json:"password"`
	// Volumes are directories that are file systems of their own, with their sizes.
	Volumes map[string]string `json:"volumes,omitempty"`
	Cgroups []string          `json:"cgroups"` // directories that have one entry per host
	Owner   process           `json:"owner"`
}

func (s *state) dir() string             { return filepath.Join(runDir, s.Name) }
func (s *state) disks() string           { return filepath.Join(diskDir, s.Name) }
func (s *state) disk(host string) string { return filepath.Join(s.disks(), host) }

func readState(name string) (*state, error) {
	b, err := os.ReadFile(filepath.Join(runDir, name, "state.json"))
	if err != nil {
		return nil, fmt.Errorf("open lab %s: %w", name, err)
	}
	s := new(state)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("open lab %s: %w", name, err)
	}
	return s, nil
}

// write is atomic for readers: the file appears whole.
func (s *state) write() error { return writeJSON(filepath.Join(s.dir(), "state.json"), s) }

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// claim reserves a name and a subnet for s and returns the lock that shows the lab to be alive.
// On the way it takes away the remains of dead labs.
func claim(ctx context.Context, log *slog.Logger, s *state) (*os.File, error) {
	unlock, err := lockAll(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(ctx, log); err != nil {
		log.Warn("lab: not all that dead labs left could be cleared; the next start tries again", "error", err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	if s.Subnet, err = pickSubnet(); err != nil {
		return nil, err
	}
	if s.Name == "" {
		s.Name = fmt.Sprintf("lab%d", s.Subnet)
	}
	if err := os.Mkdir(s.dir(), 0o700); errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("start lab: %q is already running; choose another name or take it down", s.Name)
	} else if err != nil {
		return nil, err
	}
	lock, err := tryLock(filepath.Join(s.dir(), "lock"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.write(), s.occupy()); err != nil {
		lock.Close() // now the next lab clears it away
		return nil, err
	}
	return lock, nil
}

// occupy makes the lab's place in the directories that all labs share, which whoever closes the last lab
// there removes: unlocked, that could be between the making of one and of what is to be in it.
func (s *state) occupy() error {
	if err := os.MkdirAll(s.disks(), 0o755); err != nil {
		return err
	}
	for _, dir := range s.Cgroups {
		for _, host := range s.Hosts {
			if err := os.MkdirAll(filepath.Join(dir, s.Subnet.namespace(host)), 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// pickSubnet finds a subnet that is not in use, and goes round all of them before it returns to
// one: nothing that still talks to a past lab's addresses finds a new lab there.
func pickSubnet() (subnet, error) {
	used := map[subnet]bool{}
	for _, name := range names() {
		if other, err := readState(name); err == nil {
			used[other.Subnet] = true
		}
	}
	const count = 256
	path := filepath.Join(cacheDir, "last-subnet")
	b, _ := os.ReadFile(path)
	last, _ := strconv.Atoi(string(b)) // 0 on the first use
	for i := 1; i <= count; i++ {
		n := subnet((last + i) % count)
		if !used[n] && n.free() {
			return n, os.WriteFile(path, []byte(strconv.Itoa(int(n))), 0o644)
		}
	}
	return 0, errors.New("start lab: every subnet of 10.213.0.0/16 is in use")
}

// lockAll keeps other processes from making and removing labs.
func lockAll(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return nil, err
	}
	return flock(ctx, filepath.Join(cacheDir, "labs.lock"))
}

// names lists the labs there are, dead or alive.
func names() []string {
	entries, _ := os.ReadDir(runDir)
	var out []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out
}

// sweep takes away every lab whose owner is dead. The caller holds lockAll.
func sweep(ctx context.Context, log *slog.Logger) error {
	var errs []error
	for _, name := range names() {
		lock, err := tryLock(filepath.Join(runDir, name, "lock"))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		log.Info("lab: clearing what a killed run left", "lab", name)
		s, err := readState(name)
		if err != nil {
			s = &state{Name: name, Subnet: -1} // killed before it made anything
		}
		if err := s.destroy(ctx); err != nil {
			errs = append(errs, fmt.Errorf("clear dead lab %s: %w", name, err))
		}
		lock.Close()
	}
	// A reboot of the machine clears /run but not the disks.
	entries, _ := os.ReadDir(diskDir)
	for _, e := range entries {
		if !exists(filepath.Join(runDir, e.Name())) {
			errs = append(errs, removeDisk(filepath.Join(diskDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// destroy ends every process of the lab and removes all that it made. It can be repeated, and
// works on a lab that was only half made.
func (s *state) destroy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	note(s.killAll(ctx))
	note(removeDisk(s.disks()))
	if s.Subnet >= 0 {
		note(s.Subnet.disconnect(ctx, s.Hosts))
	}
	for _, host := range s.Hosts {
		machine := s.Subnet.namespace(host)
		for _, dir := range s.Cgroups {
			note(removeCgroup(ctx, filepath.Join(dir, machine)))
		}
		note(os.RemoveAll(filepath.Join("/run/systemd/nspawn/propagate", machine)))
	}
	for _, dir := range s.Cgroups {
		os.Remove(dir) // stays while another lab has hosts in it
	}
	if len(errs) == 0 {
		note(os.RemoveAll(s.dir())) // last: as long as it is there, destroy will be tried again
		os.Remove(runDir)           // these two stay while there are other labs
		os.Remove(diskDir)
	}
	return errors.Join(errs...)
}

// killAll ends whatever runs in the lab's namespaces, then the container supervisors, which
// mostly end by themselves when their container does.
func (s *state) killAll(ctx context.Context) error {
	supervisors := withArgument("--directory=" + s.disks() + "/")
	var spaces []string
	for _, host := range s.Hosts {
		spaces = append(spaces, filepath.Join(netnsDir, s.Subnet.namespace(host)))
	}
	inside := inNamespaces(spaces)
	for _, p := range inside {
		p.kill()
	}
	soon, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, p := range supervisors {
		if waitGone(soon, p.PID) != nil {
			p.kill()
		}
	}
	for _, p := range append(inside, supervisors...) {
		if !p.alive() {
			continue
		}
		if err := waitGone(ctx, p.PID); err != nil {
			return err
		}
	}
	return nil
}
