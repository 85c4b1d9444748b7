package etcd

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spore/engine"
	"spore/engine/enginetest"
)

func TestWorldLaws(t *testing.T) {
	t.Parallel()
	enginetest.TestWorld(t, func(t *testing.T) func(host string) engine.World {
		s := startServer(t)
		var mu sync.Mutex
		clients := map[string]*Client{}
		return func(host string) engine.World {
			mu.Lock()
			defer mu.Unlock()
			if clients[host] == nil {
				o := adminOptions(s)
				o.Host = host
				clients[host] = dial(t, o)
			}
			return clients[host]
		}
	})
}

func TestCollectSeesTheEndOfAHost(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	b := dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}}))
	found := collect(t, b, "file")
	if err := a.Export(t.Context(), exports("file", "x", "y")); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "both are seen", func(l []string) bool {
		return slices.Equal(l, []string{`file/a/x="x"`, `file/a/y="y"`})
	})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "all is withdrawn", func(l []string) bool { return len(l) == 0 })
}

func TestExportMoreThanATransaction(t *testing.T) {
	s := startServer(t)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}}))
	b := dial(t, admit(t, s, "b", Grants{Collects: []string{"file"}}))
	found := collect(t, b, "file")
	var names []string
	for i := range 3*maxOps + 1 {
		names = append(names, strings.Repeat("n", i+1))
	}
	big := exports("file", names...)
	for i := range 5 { // and more bytes than a transaction
		big[i].Spec = []byte(`"` + strings.Repeat("x", 900_000) + `"`)
	}
	eventually(t, "export", func() error { return a.Export(t.Context(), big) })
	found.wait(t, "all are seen", func(l []string) bool { return len(l) == len(big) })
	if err := a.Export(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "all are withdrawn", func(l []string) bool { return len(l) == 0 })
}

func TestLargeValuesAreRefused(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	a := dial(t, admit(t, s, "a", Grants{Exports: []string{"file"}, Keys: []string{"k"}}))
	huge := strings.Repeat("x", maxValue+1)
	_, graphErr := store.PutGraph(t.Context(), "a", Graph{Text: huge})
	for what, err := range map[string]error{
		"graph":  graphErr,
		"value":  a.Put(t.Context(), "k", &huge),
		"export": a.Export(t.Context(), []engine.Export{{Kind: "file", Name: "x", Spec: []byte(`"` + huge + `"`)}}),
		"facts":  a.PutFacts(t.Context(), Facts{Version: huge}),
	} {
		if err == nil || !strings.Contains(err.Error(), "at most 1048576") {
			t.Errorf("%s: got error %v, want the limit told", what, err)
		}
	}
	largest := strings.Repeat("x", maxValue)
	if err := a.Put(t.Context(), "k", &largest); err != nil {
		t.Errorf("put the largest value: %v", err)
	}
	if got, ok, err := a.Get(t.Context(), "k"); err != nil || !ok || got != largest {
		t.Errorf("get the largest value: got %d bytes, %v, %v", len(got), ok, err)
	}
}

// What another host exports may be anything; it harms nobody but itself.
func TestMalformedExportsAreLeftOut(t *testing.T) {
	s := startServer(t)
	o := admit(t, s, "b", Grants{Collects: []string{"file"}})
	logs := new(logbook)
	o.Log = slog.New(logs)
	b := dial(t, o)
	found := collect(t, b, "file")
	for range 3 {
		for key, value := range map[string]string{
			"/spore/exports/file/evil/json":  `{`,
			"/spore/exports/file/evil/huge":  `{"spec":"` + strings.Repeat("x", maxValue) + `"}`,
			"/spore/exports/file/evil/%zz":   `{}`,
			"/spore/exports/file/evil/a/b/c": `{}`,
			"/spore/exports/file/evil":       `{}`,
		} {
			if _, err := s.root.Put(t.Context(), key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.root.Put(t.Context(), exportKey("file", "good", "x"), `{"spec":1}`); err != nil {
		t.Fatal(err)
	}
	found.wait(t, "only the good one is seen", func(l []string) bool { return slices.Equal(l, []string{"file/good/x=1"}) })
	if lines := logs.since(slog.LevelWarn); len(lines) != 5 {
		t.Errorf("got %d warnings, want one for each of 5 bad keys: %q", len(lines), lines)
	}
}

func TestFollowGraph(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	type arrival struct {
		g        Graph
		revision int64
	}
	first, err := store.PutGraph(t.Context(), "a/../b", Graph{Name: "one", Text: "graph: one\n"})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, admit(t, s, "a/../b", Grants{}))
	arrived := newLatest[[]arrival]()
	background(t, func(ctx context.Context) error {
		return c.FollowGraph(ctx, func(g Graph, revision int64) {
			arrived.set(append(arrived.get(), arrival{g, revision}))
		})
	})
	arrived.wait(t, "the first graph comes", func(a []arrival) bool { return len(a) == 1 && a[0].revision == first })

	again, err := store.PutGraph(t.Context(), "a/../b", Graph{Name: "one", Text: "graph: one\n"})
	if err != nil || again != first {
		t.Errorf("put the same graph: got revision %d, %v, want %d", again, err, first)
	}
	if _, err := store.PutGraph(t.Context(), "b", Graph{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	second, err := store.PutGraph(t.Context(), "a/../b", Graph{Name: "two", Files: "digest"})
	if err != nil {
		t.Fatal(err)
	}
	all := arrived.wait(t, "the second graph comes", func(a []arrival) bool { return len(a) > 1 })
	if want := (arrival{Graph{Name: "two", Files: "digest"}, second}); len(all) != 2 || !reflect.DeepEqual(all[1], want) {
		t.Errorf("got %+v, want %+v as the second", all, want)
	}
}

// Whoever has to begin with something wants to know that the store has nothing.
func TestFollowGraphThatIsNotThere(t *testing.T) {
	s := startServer(t)
	store := openStore(t, s)
	c := dial(t, admit(t, s, "a", Grants{}))
	revisions := newLatest[[]int64]()
	background(t, func(ctx context.Context) error {
		return c.FollowGraph(ctx, func(_ Graph, revision int64) { revisions.set(append(revisions.get(), revision)) })
	})
	revisions.wait(t, "the store says that there is none", func(r []int64) bool { return slices.Equal(r, []int64{0}) })
	first, err := store.PutGraph(t.Context(), "a", Graph{Name: "one"})
	if err != nil {
		t.Fatal(err)
	}
	revisions.wait(t, "the graph comes", func(r []int64) bool { return slices.Equal(r, []int64{0, first}) })
}

// catchUp asks c to catch up and waits until it has.
func catchUp(t *testing.T, s *Server, c *Client) {
	t.Helper()
	asked, err := s.root.Put(t.Context(), syncKey, "")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(patience)
	for c.Processed() < asked.Header.Revision {
		select {
		case <-c.Moved():
		case <-deadline:
			t.Fatalf("waited in vain until %d is processed; it is %d", asked.Header.Revision, c.Processed())
		}
	}
}

// All of a client's callbacks come one after the other, in the order of the revisions, also those
// of different watches.
func TestCallbacksComeInOrder(t *testing.T) {
	s := startServer(t)
	writer := dial(t, admit(t, s, "w", Grants{Keys: []string{"x", "y", "end"}}))
	reader := dial(t, admit(t, s, "r", Grants{Keys: []string{"x", "y", "end"}}))
	ended := newLatest[bool]()
	began := newLatest[int]()
	var order []string // guarded by the callbacks' being one after the other: -race checks it
	for _, key := range []string{"x", "y", "end"} {
		background(t, func(ctx context.Context) error {
			first := true
			return reader.Watch(ctx, key, func() {
				if first {
					first = false
					began.set(began.get() + 1)
					return
				}
				order = append(order, key)
				ended.set(key == "end")
			})
		})
	}
	began.wait(t, "all have begun", func(n int) bool { return n == 3 })
	catchUp(t, s, reader) // a watch that has just begun may still lag behind the others
	var want []string
	for i := range 300 {
		key := []string{"x", "y"}[i*i/7%2]
		if err := writer.Put(t.Context(), key, new(time.Now().String())); err != nil {
			t.Fatal(err)
		}
		want = append(want, key)
	}
	if err := writer.Put(t.Context(), "end", new("")); err != nil {
		t.Fatal(err)
	}
	ended.wait(t, "the last is seen", func(end bool) bool { return end })
	if want = append(want, "end"); !slices.Equal(order, want) {
		t.Errorf("callbacks came out of order")
	}
}
