package resident

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spore/internal/secret"
)

func TestInstallPutsEverythingInItsPlace(t *testing.T) {
	g := newGround(t)
	out := g.install()
	modes := map[string]fs.FileMode{
		g.Dir(): fs.ModeDir | 0o700, filepath.Dir(g.Binary()): fs.ModeDir | 0o700,
		g.config(): 0o600, g.credentials(): 0o600, g.identity(): 0o600,
	}
	for path, want := range modes {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
	if info, err := os.Stat(g.Binary()); err != nil || info.Mode().Perm()&0o100 == 0 {
		t.Errorf("the binary: %v, %v", info, err)
	}
	var c Config
	g.must(readJSON(g.config(), &c))
	if c.Cluster != "id-1" || c.Host != "a" {
		t.Errorf("config is %+v", c)
	}
	sealed, err := secret.Encrypt(out.Recipient, []byte("for a"))
	g.must(err)
	identity, err := os.ReadFile(g.identity())
	g.must(err)
	if plain, err := secret.Decrypt(strings.TrimSpace(string(identity)), sealed); err != nil || string(plain) != "for a" {
		t.Errorf("the host decrypts %q, %v", plain, err)
	}
	i, err := Inspect(g.Layout, "v1")
	g.must(err)
	digest, err := digestOf(g.Binary())
	g.must(err)
	if i.Cluster != "id-1" || i.Name != "garden" || i.Host != "a" || i.Digest != digest || i.Version != "v1" || i.Agent || i.Store != "" {
		t.Errorf("info is %+v", i)
	}
}

func TestInstallAgainKeepsTheIdentity(t *testing.T) {
	g := newGround(t)
	first := g.install()
	in := g.installation()
	in.Credentials.Key = []byte("another")
	second, err := install(t.Context(), g.Layout, g.services, "/bin/true", in)
	g.must(err)
	if first != second {
		t.Errorf("the recipient was %s and is %s", first.Recipient, second.Recipient)
	}
	if text, _ := os.ReadFile(g.credentials()); !strings.Contains(string(text), "YW5vdGhlcg==") {
		t.Error("the credentials are the first ones")
	}
	want, err := digestOf("/bin/true")
	g.must(err)
	if i, err := Inspect(g.Layout, ""); err != nil || i.Digest != want {
		t.Errorf("info is %+v, %v; want %s", i, err, want)
	}
}

func TestInstallLeavesTheBinaryOfWhatWasStarted(t *testing.T) {
	g := newGround(t)
	g.install()
	g.start()
	before, err := os.Stat(g.Binary())
	g.must(err)
	_, err = install(t.Context(), g.Layout, g.services, "/bin/true", g.installation())
	g.must(err)
	if after, err := os.Stat(g.Binary()); err != nil || !os.SameFile(before, after) {
		t.Errorf("the binary is another (%v)", err)
	}
}

func TestInstallRefusesWhatIsAnothers(t *testing.T) {
	g := newGround(t)
	g.install()
	in := g.installation()
	in.Config.Cluster, in.Config.Name = "id-2", "garden" // of the same name
	_, err := install(t.Context(), g.Layout, g.services, "/bin/true", in)
	var foreign *ForeignError
	if !errors.As(err, &foreign) || foreign.ID != "id-1" || !strings.Contains(err.Error(), "the cluster garden (id-1)") {
		t.Fatalf("the error is %v", err)
	}
	var c Config
	if g.must(readJSON(g.config(), &c)); c.Cluster != "id-1" {
		t.Errorf("the config is %+v", c)
	}
}

func TestInstallRefusesStrangeDirectories(t *testing.T) {
	g := newGround(t)
	g.must(os.MkdirAll(g.Root, 0o700))
	g.must(os.Symlink(t.TempDir(), g.Dir()))
	_, err := install(t.Context(), g.Layout, g.services, "/bin/true", g.installation())
	if err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("the error is %v", err)
	}
	g.must(os.Remove(g.Dir()))
}

func TestInstallRefusesHalfAnInstallation(t *testing.T) {
	g := newGround(t)
	in := g.installation()
	in.Credentials.Key = nil
	if _, err := install(t.Context(), g.Layout, g.services, "/bin/true", in); err == nil || g.exists(g.config()) {
		t.Errorf("the error is %v", err)
	}
}

// Only one at a time may change what resides on a host.
func TestChangesExcludeEachOther(t *testing.T) {
	g := newGround(t)
	release, err := g.exclusive(t.Context())
	g.must(err)
	done := make(chan error)
	go func() {
		done <- g.change(t.Context(), func() error { return nil })
	}()
	select {
	case err := <-done:
		t.Fatalf("two changes at once (%v)", err)
	default:
	}
	release()
	g.must(<-done)
}
