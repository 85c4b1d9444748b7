package lab_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"spore/internal/lab"
	"spore/internal/lab/labtest"
)

// datagram sends a word from one host to the port of another at which listen has it listen.
func datagram(t *testing.T, from, to *lab.Host, v6 bool, word string) {
	addr := to.Addr.String()
	if v6 {
		addr = to.Addr6.String()
	}
	inside(t, from, "bash", "-c", "echo "+word+" >/dev/udp/"+addr+"/9999")
}

// listen has a host keep the datagrams that it gets, each a line of a file.
func listen(t *testing.T, h *lab.Host) {
	const script = `import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 9999))
f = open("/root/heard", "ab", 0)
while True: f.write(s.recv(99))`
	inside(t, h, "systemd-run", "--unit=listen", "python3", "-c", script)
	eventually(t, "a listener on "+h.Name, func() bool {
		_, err := os.Stat(filepath.Join(h.Root(), "root/heard"))
		return err == nil
	})
}

func heard(h *lab.Host, word string) bool {
	text, _ := os.ReadFile(filepath.Join(h.Root(), "root/heard"))
	return strings.Contains(string(text), word)
}

// passes sends again and again until it is heard.
func passes(t *testing.T, from, to *lab.Host, v6 bool, word string) {
	t.Helper()
	eventually(t, word, func() bool {
		datagram(t, from, to, v6, word)
		return heard(to, word)
	})
}

func TestOneWay(t *testing.T) {
	l := labtest.For(t, 2, lab.Options{})
	a, b := l.Hosts[0], l.Hosts[1]
	listen(t, a)
	listen(t, b)
	for _, v6 := range []bool{false, true} {
		name := strconv.FormatBool(v6)
		passes(t, a, b, v6, "first-"+name)
		passes(t, b, a, v6, "first-"+name)

		must(t, a.CutFrom(t.Context()))
		must(t, a.CutFrom(t.Context())) // twice is once
		datagram(t, a, b, v6, "lost-"+name)
		passes(t, b, a, v6, "hears-"+name)
		if reaches(a) || connects(t, a, b) {
			t.Error("a connection came about one way")
		}
		must(t, a.Heal(t.Context()))

		must(t, a.CutTo(t.Context()))
		datagram(t, b, a, v6, "lost-"+name)
		passes(t, a, b, v6, "says-"+name)
		must(t, a.Reboot(t.Context()))
		if reaches(a) {
			t.Error("a reboot healed the cut")
		}
		must(t, a.Heal(t.Context()))
		must(t, a.Heal(t.Context()))
		listen(t, a)

		passes(t, a, b, v6, "healed-"+name)
		passes(t, b, a, v6, "healed-"+name)
		for _, h := range l.Hosts {
			if heard(h, "lost-"+name) {
				t.Errorf("%s heard what was to be lost", h.Name)
			}
		}
	}
	if !reaches(a) || !connects(t, a, b) {
		t.Error("a is not reached after the cuts")
	}
}

// processState is the letter that the kernel has for it: T where it is stopped.
func processState(t *testing.T, h *lab.Host, pid int) string {
	return inside(t, h, "sh", "-c", "cut -d' ' -f3 /proc/"+strconv.Itoa(pid)+"/stat")
}

func TestUnits(t *testing.T) {
	h := labtest.For(t, 1, lab.Options{}).Hosts[0]
	const unit = "spore-x.service"
	inside(t, h, "systemd-run", "--unit="+unit, "--property=Restart=always", "--property=RestartSec=100ms", "sleep", "1000")
	pid := func() int {
		id, _ := h.MainPID(t.Context(), unit)
		return id
	}
	eventually(t, "the unit's process", func() bool { return pid() != 0 })
	first := pid()
	must(t, h.Pause(t.Context(), unit))
	eventually(t, "a stop", func() bool { return processState(t, h, first) == "T" })
	must(t, h.Resume(t.Context(), unit))
	eventually(t, "going on", func() bool { return processState(t, h, first) == "S" })
	must(t, h.Kill(t.Context(), unit))
	eventually(t, "another process", func() bool { return pid() != 0 && pid() != first })
	must(t, h.Resume(t.Context(), "no-such-unit.service"))
	if err := h.Kill(t.Context(), "no-such-unit.service"); err == nil || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("kill of what does not run: %v", err)
	}
	all, err := h.Processes()
	must(t, err)
	i := slices.IndexFunc(all, func(p lab.Process) bool { return p.PID == pid() })
	if i < 0 || all[i].Parent != 1 || !slices.Equal(all[i].Args, []string{"/usr/bin/sleep", "1000"}) {
		t.Errorf("its process, as seen from outside: %+v", all)
	}
}

func TestVolumesAndDestroy(t *testing.T) {
	const dir = "/var/lib/spore"
	l := labtest.For(t, 2, lab.Options{Volumes: map[string]string{dir + "/": "32m"}})
	a, b := l.Hosts[0], l.Hosts[1]
	inside(t, a, "sh", "-c", "echo kept >"+dir+"/file; touch /var/lib/elsewhere")
	must(t, a.FillDisk(t.Context(), dir))
	if _, err := a.Run(t.Context(), "sh", "-c", "echo new >"+dir+"/new"); err == nil {
		t.Error("wrote to a full disk")
	}
	must(t, a.Crash(t.Context()))
	must(t, a.Start(t.Context()))
	if _, err := a.Run(t.Context(), "sh", "-c", "echo new >"+dir+"/new"); err == nil {
		t.Error("a crash freed the disk")
	}
	inside(t, a, "sh", "-c", "echo new >/var/lib/elsewhere")
	must(t, a.FreeDisk(t.Context(), dir))
	inside(t, a, "sh", "-c", "echo new >"+dir+"/new")
	text, err := os.ReadFile(filepath.Join(a.Root(), dir, "file"))
	if must(t, err); string(text) != "kept\n" {
		t.Errorf("seen from outside: %q", text)
	}

	must(t, a.Destroy(t.Context()))
	must(t, a.Destroy(t.Context()))
	if a.Running() || reaches(a) {
		t.Error("a runs after it was destroyed")
	}
	if _, err := os.Stat(a.Root()); err == nil {
		t.Error("its disk is there")
	}
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "destroyed") {
		t.Errorf("start of a destroyed host: %v", err)
	}
	mustSSH(t, l, b.Name, "true")
	name, bridge := l.Name, bridgeOf(l)
	must(t, l.Close())
	if left := traces(t, name, bridge); len(left) > 0 {
		t.Errorf("a closed lab left %q", left)
	}
}
