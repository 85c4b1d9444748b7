// Command release writes what belongs to released binaries: SHA256SUMS of all of them, and beside
// each an SBOM (CycloneDX 1.5, JSON) of the modules that its linker recorded in it. The same
// binaries give the same files.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run takes the version and the binaries, which lie in one directory.
func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: release VERSION BINARY... (got %q)", args)
	}
	var sums strings.Builder
	binaries := slices.Sorted(slices.Values(args[1:]))
	for _, path := range binaries {
		bill, err := billOf(path, args[0])
		if err != nil {
			return fmt.Errorf("read modules of %s: %w", path, err)
		}
		name := path + ".cdx.json"
		if err := os.WriteFile(name, bill, 0o644); err != nil {
			return err
		}
		for _, file := range []string{path, name} {
			sum, err := sumOf(file)
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%s  %s\n", sum, filepath.Base(file))
		}
	}
	return os.WriteFile(filepath.Join(filepath.Dir(binaries[0]), "SHA256SUMS"), []byte(sums.String()), 0o644)
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// What follows is as much of CycloneDX as there is to say.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref,omitempty"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func billOf(path, version string) ([]byte, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum, err := sumOf(path)
	if err != nil {
		return nil, err
	}
	subject := component{
		Type: "application", Name: filepath.Base(path), Version: version,
		Hashes: []hash{{"SHA-256", sum}}, Properties: []property{{"go:version", info.GoVersion}},
	}
	for _, s := range info.Settings {
		subject.Properties = append(subject.Properties, property{"go:" + s.Key, s.Value})
	}
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{subject}}
	std := strings.TrimPrefix(info.GoVersion, "go")
	b.Components = append(b.Components, module("std", std, ""))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.Components = append(b.Components, module(m.Path, m.Version, m.Sum))
	}
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

// module is one of Go's; its h1 sum is of the module's files, not of an archive, so it is a property.
func module(path, version, sum string) component {
	purl := "pkg:golang/" + path + "@" + version
	c := component{Ref: purl, Type: "library", Name: path, Version: version, PURL: purl}
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}}
	}
	return c
}
