package resident

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStartWantsAnInstallation(t *testing.T) {
	g := newGround(t)
	if err := start(t.Context(), g.Layout, g.services); err == nil || !strings.Contains(err.Error(), "nothing is installed") {
		t.Errorf("the error is %v", err)
	}
	if g.exists(g.Root) {
		t.Error("it left something")
	}
}

func TestRemoveLeavesTheCacheOnly(t *testing.T) {
	g := newGround(t)
	g.install()
	g.member(Membership{})
	g.start()
	g.await("the store runs", g.storeRuns)
	for range 2 { // twice is no error
		g.must(remove(t.Context(), g.Layout, g.services))
		if !g.exists(filepath.Join(g.Root, "revoked")) {
			t.Error("the agent was not told to take back what it exports")
		}
		g.must(os.WriteFile(filepath.Join(g.Root, "revoked"), nil, 0o600))
		g.holds("cache", "revoked")
		if g.storeRuns() {
			t.Error("the store runs")
		}
	}
}

func TestRemoveTakesHalfAnInstallation(t *testing.T) {
	g := newGround(t)
	for _, path := range []string{g.previous(), g.config(), filepath.Join(g.Store(), "data", "wal"), filepath.Join(g.Dir(), ".config.json-123")} {
		g.must(os.MkdirAll(filepath.Dir(path), 0o700))
		g.must(os.WriteFile(path, []byte("half"), 0o600))
		g.must(remove(t.Context(), g.Layout, g.services))
		if g.exists(g.Root) {
			t.Errorf("with %s, something is left", path)
		}
	}
}

func TestDiscardTakesWhatCameToNothing(t *testing.T) {
	g := newGround(t)
	g.install()
	g.member(Membership{Until: time.Now().Add(time.Hour)})
	g.must(g.services.Start(t.Context(), StoreService))
	if i, err := Inspect(g.Layout, ""); err != nil || i.Store != StorePending {
		t.Errorf("info is %+v, %v", i, err)
	}
	g.await("the store runs", g.storeRuns)
	for range 2 {
		g.must(discard(t.Context(), g.Layout, g.services))
		g.holds("cache")
	}
}

func TestDiscardLeavesWhatWasStarted(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	g.must(discard(t.Context(), g.Layout, g.services))
	if i, err := Inspect(g.Layout, ""); err != nil || !i.Agent || i.Cluster != "id-1" {
		t.Errorf("info is %+v, %v", i, err)
	}
}

func TestDiscardRefusesAStoreThatWasCommittedTo(t *testing.T) {
	g := newGround(t)
	g.install()
	g.member(Membership{})
	if err := discard(t.Context(), g.Layout, g.services); err == nil || !strings.Contains(err.Error(), "committed") {
		t.Errorf("the error is %v", err)
	}
	if i, err := Inspect(g.Layout, ""); err != nil || i.Store != StoreMember || i.Cluster != "id-1" {
		t.Errorf("info is %+v, %v", i, err)
	}
}

// holds makes sure that nothing but names is in the root.
func (g *ground) holds(names ...string) {
	g.Helper()
	entries, err := os.ReadDir(g.Root)
	g.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		g.Errorf("what is left is %v, want %v", got, names)
	}
}
