package resources_test

import (
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"

	"spore/internal/fswatch"
	"spore/resources"
)

// A kind's package has its name, so the folders tell which kinds there are to list.
func TestEveryKindIsListed(t *testing.T) {
	hub := fswatch.New(slog.New(slog.DiscardHandler))
	defer hub.Close()
	kinds := resources.Kinds(hub)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	if names := slices.Sorted(maps.Keys(kinds)); !slices.Equal(names, folders) {
		t.Errorf("the kinds are %q, the folders %q", names, folders)
	}
	for name, kind := range kinds {
		if kind.Name != name {
			t.Errorf("%s is listed as %s", kind.Name, name)
		}
	}
}
