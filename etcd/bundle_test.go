package etcd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// content returns n bytes that differ from part to part, and their digest.
func content(n int) (b []byte, digest string) {
	b = make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	sum := sha256.Sum256(b)
	return b, hex.EncodeToString(sum[:])
}

func TestBundlesComeAsTheyWent(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	for _, n := range []int{0, 1, partSize - 1, partSize, partSize + 1, 3 << 20} {
		want, digest := content(n)
		c := dial(t, admit(t, s, "a", Grants{Bundle: digest}))
		for range 2 { // the second time nothing is new
			if err := store.PutBundle(t.Context(), digest, want); err != nil {
				t.Fatal(err)
			}
			got, err := c.Fetch(t.Context(), digest)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: got %d, equal %v, %v", n, len(got), bytes.Equal(got, want), err)
			}
		}
		if got, err := store.Fetch(t.Context(), digest); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: the operator got %d, %v", n, len(got), err)
		}
	}
	if err := store.PutBundle(t.Context(), strings.Repeat("0", 64), []byte("x")); err == nil {
		t.Error("a bundle was stored by another's digest")
	}
}

// What was cut off is not handed out, and the next try completes it.
func TestBundleThatIsNotWhole(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	want, digest := content(2*partSize + 1)
	c := dial(t, admit(t, s, "a", Grants{Bundle: digest}))
	if _, err := c.Fetch(t.Context(), digest); err == nil {
		t.Error("fetched what is not there")
	}
	for n := range 3 {
		if err := store.PutBundle(t.Context(), digest, want); err != nil {
			t.Fatal(err)
		}
		if _, err := s.root.Delete(t.Context(), partKey(digest, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fetch(t.Context(), digest); err == nil {
			t.Errorf("fetched a bundle without its part %d", n)
		}
	}
	if err := store.PutBundle(t.Context(), digest, want); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Fetch(t.Context(), digest); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// A host fetches what its own graph names, and that only.
func TestBundlesOfOthersAreClosed(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	var digests []string
	for _, n := range []int{10, 20} {
		b, digest := content(n)
		if err := store.PutBundle(t.Context(), digest, b); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
	}
	c := dial(t, admit(t, s, "a", Grants{Bundle: digests[0]}))
	check := func(own, other int) {
		t.Helper()
		if _, err := c.Fetch(t.Context(), digests[own]); err != nil {
			t.Errorf("its own bundle: %v", err)
		}
		if _, err := c.Fetch(t.Context(), digests[other]); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("another bundle: got %v", err)
		}
	}
	check(0, 1)
	admit(t, s, "a", Grants{}) // says nothing of bundles
	check(0, 1)
	admit(t, s, "a", Grants{Bundle: digests[1]})
	check(1, 0)
}

func TestSweepTakesWhatNoGraphNames(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	var digests []string
	put := func(i int) {
		t.Helper()
		b, digest := content(partSize + i)
		if err := store.PutBundle(t.Context(), digest, b); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
	}
	sweep := func() {
		t.Helper()
		if err := store.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	there := func(want ...string) {
		t.Helper()
		found, err := s.root.Get(t.Context(), filesPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Kvs) != 2*len(want) {
			t.Errorf("%d parts are there, want %d", len(found.Kvs), 2*len(want))
		}
		for _, digest := range want {
			if _, err := store.Fetch(t.Context(), digest); err != nil {
				t.Error(err)
			}
		}
	}
	for i := range 3 {
		put(i + 1)
	}
	named, again, gone := digests[0], digests[1], digests[2]
	if _, err := store.PutGraph(t.Context(), "a", Graph{Bundle: named}); err != nil {
		t.Fatal(err)
	}
	sweep() // a graph may be on its way
	there(named, again, gone)
	put(2) // one is: it was put again
	sweep()
	there(named, again)
	sweep()
	there(named)
	if err := store.delete(t.Context(), span{key: graphKey("a")}); err != nil {
		t.Fatal(err)
	}
	sweep()
	sweep()
	there()
}
