package resident

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A fakeCtl is a systemctl that notes how it is called.
type fakeCtl struct {
	calls  []string
	state  string           // of every unit
	faults map[string]error // by verb
}

func (f *fakeCtl) run(_ context.Context, args ...string) (string, error) {
	f.calls = append(f.calls, strings.Join(args, " "))
	return f.state, f.faults[args[0]]
}

func newSystemd(t *testing.T) (systemd, *fakeCtl) {
	f := &fakeCtl{state: "inactive", faults: make(map[string]error)}
	etc := t.TempDir()
	if err := os.MkdirAll(filepath.Join(etc, "systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	return systemd{layout: Layout{Root: "/var/lib/spore", Etc: etc}, ctl: f.run, words: f.run}, f
}

func TestSystemdInstallsUnits(t *testing.T) {
	s, f := newSystemd(t)
	for range 2 {
		if err := s.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range []string{AgentService, StoreService} {
		text, err := os.ReadFile(s.path(service))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nExecStart=/var/lib/spore/bin/spore resident "+service+"\n") || strings.Contains(string(text), "@BINARY@") {
			t.Errorf("unit of %s:\n%s", service, text)
		}
	}
	for range 2 {
		if err := s.Uninstall(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(s.path(AgentService))); len(left) > 0 || err != nil {
		t.Errorf("what is left is %v, %v", left, err)
	}
	// Once more than units changed would be once too often: it makes systemd read all of them.
	if want := []string{"daemon-reload", "daemon-reload", "daemon-reload"}; !slices.Equal(f.calls, want) {
		t.Errorf("calls are %q, want %q", f.calls, want)
	}
}

func TestSystemdStops(t *testing.T) {
	failure := errors.New("not loaded")
	tests := map[string]struct {
		unit  bool
		state string
		stop  error
		want  []string
		err   error
	}{
		"runs":             {unit: true, want: []string{"stop spore-store.service", "disable spore-store.service"}},
		"unknown":          {state: "inactive", stop: failure, want: []string{"stop spore-store.service", "show --property=ActiveState --value spore-store.service"}},
		"lost its file":    {want: []string{"stop spore-store.service"}},
		"will not":         {unit: true, state: "active", stop: failure, err: failure},
		"between restarts": {unit: true, state: "activating", stop: failure, err: failure},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, f := newSystemd(t)
			f.state, f.faults["stop"] = tt.state, tt.stop
			if tt.unit {
				if err := s.Install(t.Context()); err != nil {
					t.Fatal(err)
				}
				f.calls = nil
			}
			if err := s.Stop(t.Context(), StoreService); !errors.Is(err, tt.err) {
				t.Errorf("the error is %v, want %v", err, tt.err)
			}
			if tt.want != nil && !slices.Equal(f.calls, tt.want) {
				t.Errorf("calls are %q, want %q", f.calls, tt.want)
			}
		})
	}
}

func TestSystemctlSaysWhatWentWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemctl")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho Unit x not found. >&2\nexit 5\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := program(path)(t.Context(), "start", "x")
	if err == nil || !strings.Contains(err.Error(), "systemctl start x: exit status 5: Unit x not found.") {
		t.Errorf("the error is %v", err)
	}
}

func TestSystemdTellsTheLastWords(t *testing.T) {
	s, f := newSystemd(t)
	f.state = "spore: run store:\nno room\n" + strings.Repeat("é", 600)
	if words := s.LastWords(t.Context(), StoreService); len(words) > 1000 || !strings.HasSuffix(words, "éé") {
		t.Errorf("they are %q", words)
	}
	f.state = "spore: run store:\nno room"
	if words := s.LastWords(t.Context(), StoreService); words != "spore: run store: no room" {
		t.Errorf("they are %q", words)
	}
}
