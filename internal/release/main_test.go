package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test's own program stands for a release: it has modules recorded in it as any binary has.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	var first [][]byte
	for range 2 {
		dir := t.TempDir()
		binary := filepath.Join(dir, "spore-linux-amd64")
		if err := os.WriteFile(binary, text, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{"v1.2.3", binary}); err != nil {
			t.Fatal(err)
		}
		var files [][]byte
		for _, name := range []string{"spore-linux-amd64.cdx.json", "SHA256SUMS"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, b)
		}
		check(t, files[0], string(files[1]))
		if first != nil && !slices.EqualFunc(first, files, bytes.Equal) {
			t.Error("the same binary gives different files")
		}
		first = files
	}
}

func check(t *testing.T, sbom []byte, sums string) {
	t.Helper()
	var b bill
	if err := json.Unmarshal(sbom, &b); err != nil {
		t.Fatal(err)
	}
	if s := b.Metadata.Component; s.Name != "spore-linux-amd64" || s.Version != "v1.2.3" || len(s.Hashes) != 1 {
		t.Errorf("the SBOM is of %+v", s)
	} else if !strings.Contains(sums, s.Hashes[0].Content+"  spore-linux-amd64\n") {
		t.Errorf("the SBOM's hash is not in SHA256SUMS:\n%s", sums)
	}
	if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Name == "std" && c.Version != "" }) {
		t.Errorf("no standard library among %+v", b.Components)
	}
	if strings.Count(sums, "\n") != 2 {
		t.Errorf("SHA256SUMS:\n%s", sums)
	}
}

func TestNoBinary(t *testing.T) {
	for _, args := range [][]string{nil, {"v1"}, {"v1", "/nonexistent"}, {"v1", "main.go"}} {
		if run(args) == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
