package resident

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func (g *ground) upgrade(trailer string) (digest string, err error) {
	g.Helper()
	digest = filepath.Base(filepath.Dir(g.binary(trailer)))
	ctx, cancel := context.WithCancel(g.Context())
	defer cancel()
	u := upgrade{layout: g.Layout, services: g.services, patience: patience, steady: 100 * time.Millisecond}
	if service, broken := strings.CutPrefix(trailer, "broken"); broken {
		u.services = &impatient{Services: g.services, ground: g, broken: strings.ToLower(service), giveUp: cancel}
	}
	return digest, u.to(ctx, digest)
}

// impatient services make an upgrade wait no longer for a service that has ended at once.
type impatient struct {
	Services
	*ground
	broken string
	giveUp func()
}

func (i *impatient) Restart(ctx context.Context, service string) error {
	if err := i.Services.Restart(ctx, service); err != nil || service != i.broken || ctx.Err() != nil {
		return err
	}
	i.broken = "" // the next time it runs the previous binary
	i.await("the service has ended", func() bool {
		return strings.Contains(i.LastWords(ctx, service), "is of no use")
	})
	i.giveUp()
	return nil
}

// runs makes sure that agent and store run, with the binary of this digest.
func (g *ground) runs(digest string) {
	g.Helper()
	if r, err := g.runner(runner{}); err != nil || r.digest != digest {
		g.Errorf("what runs is %+v, %v; want %s", r, err, digest)
	}
	if got, err := digestOf(g.Binary()); err != nil || got != digest {
		g.Errorf("the binary is %s, %v; want %s", got, err, digest)
	}
	g.await("the store runs", g.storeRuns)
}

func newFleetHost(t *testing.T) (g *ground, digest string) {
	g = newGround(t)
	g.install()
	g.member(Membership{})
	g.start()
	digest, err := digestOf(g.Binary())
	g.must(err)
	g.runs(digest)
	return g, digest
}

func TestUpgrade(t *testing.T) {
	g, before := newFleetHost(t)
	for range 2 { // twice is no error
		after, err := g.upgrade("next")
		g.must(err)
		g.runs(after)
		if previous, err := digestOf(g.previous()); err != nil || previous != before {
			t.Errorf("the previous binary is %s, %v", previous, err)
		}
	}
}

// TestUpgradeLeavesOneBinary has a session's process run from the cache while its binary is replaced,
// and end before the next upgrade.
func TestUpgradeLeavesOneBinary(t *testing.T) {
	g, first := newFleetHost(t)
	g.must(os.MkdirAll(filepath.Dir(g.cached(first)), 0o700))
	g.must(placeFile(g.Binary(), g.cached(first)))
	cached := func() []string {
		all, err := filepath.Glob(filepath.Join(g.Root, "cache", "*", "spore"))
		g.must(err)
		return all
	}
	second, err := g.upgrade("second")
	g.must(err)
	if got := cached(); !slices.Equal(got, []string{g.cached(second)}) {
		t.Errorf("the cache holds %q", got)
	}

	sleep, err := exec.LookPath("sleep")
	g.must(err)
	third := filepath.Base(filepath.Dir(g.binary("third")))
	running := filepath.Join(filepath.Dir(g.cached(third)), "running")
	g.must(copyFile(sleep, running))
	session := exec.Command(running, "300")
	g.must(session.Start())
	t.Cleanup(func() {
		_ = session.Process.Kill()
		_ = session.Wait()
	})
	if !isRun(running) || isRun(g.cached(third)) {
		t.Errorf("from the cache runs %v, %v", isRun(running), isRun(g.cached(third)))
	}
}

func TestUpgradeGoesBack(t *testing.T) {
	for trailer, want := range map[string]string{
		brokenAgent: "the agent does not come up with the new binary",
		brokenStore: "the store does not come up with the new binary",
	} {
		lastWords := "this " + strings.ToLower(strings.TrimPrefix(trailer, "broken")) + " is of no use"
		t.Run(trailer, func(t *testing.T) {
			g, before := newFleetHost(t)
			_, err := g.upgrade(trailer)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the previous binary is back") ||
				!strings.Contains(err.Error(), lastWords) {
				t.Errorf("the error is %v", err)
			}
			g.runs(before)
		})
	}
}

func TestUpgradeRefusesBadBinaries(t *testing.T) {
	g, before := newFleetHost(t)
	if _, err := g.upgrade(mute); err == nil || !strings.Contains(err.Error(), "this binary is of no use") {
		t.Errorf("the error is %v", err)
	}
	u := upgrade{layout: g.Layout, services: g.services}
	damaged := g.binary("damaged")
	g.must(os.WriteFile(damaged, []byte("#!/bin/sh\n"), 0o700))
	for digest, want := range map[string]string{
		filepath.Base(filepath.Dir(damaged)): "is damaged",
		strings.Repeat("0", 64):              "no such file",
		"../../bin":                          "no SHA-256",
	} {
		if err := u.to(t.Context(), digest); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", digest, err, want)
		}
	}
	g.runs(before)
}

func TestUpgradeWantsAnInstallation(t *testing.T) {
	g := newGround(t)
	if _, err := g.upgrade("next"); err == nil || !strings.Contains(err.Error(), "nothing is installed") {
		t.Errorf("the error is %v", err)
	}
}
