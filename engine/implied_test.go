package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"spore/graph"
)

// place is a spec at a path; one that ends with a slash makes a directory.
type place string

func (place) Validate() error { return nil }

func (p place) Location() (string, bool) {
	dir := strings.HasSuffix(string(p), "/")
	return strings.TrimSuffix(string(p), "/"), dir
}

func TestImply(t *testing.T) {
	for _, c := range []struct{ name, places, written, want string }{
		{"what lies in a directory comes after it", "/a/f /a/", "", "/a/>/a/f"},
		{"the nearest directory counts", "/a/b/c/f /a/ /a/b/", "", "/a/>/a/b/ /a/b/>/a/b/c/f"},
		{"a file makes no directory", "/a /a/f", "", ""},
		{"a name that only begins alike is no directory", "/ab/f /a/", "", ""},
		{"what is written stays", "/a/ /a/f", "/a/>/a/f!", "/a/>/a/f!"},
		{"what is written the other way round wins", "/a/ /a/f /x", "/a/f>/x /x>/a/", "/a/f>/x /x>/a/"},
		{"circles through two directories are seen", "/a/ /b/ /a/f /b/g", "/a/f>/b/ /b/g>/a/", "/a/>/a/f /a/f>/b/ /b/g>/a/"},
		{"what has no absolute path lies nowhere", "f d/ d/f /a/", "", "d/>d/f"},
		{"an order that follows already is not written again", "/a/ /x /a/f", "/a/>/x /x>/a/f", "/a/>/x /x>/a/f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New[ID, Node, Edge]()
			for _, p := range strings.Fields(c.places) {
				id := ID{Kind: "place", Name: p}
				g.Add(id, Node{ID: id, Spec: place(p)})
			}
			for _, e := range strings.Fields(c.written) {
				from, to, _ := strings.Cut(strings.TrimSuffix(e, "!"), ">")
				g.Connect(ID{Kind: "place", Name: from}, ID{Kind: "place", Name: to}, Edge{Notify: strings.HasSuffix(e, "!")})
			}
			Imply(g)
			Imply(g) // a second time changes nothing
			if got := edgesOf(g); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func edgesOf(g *Graph) string {
	var all []string
	for _, id := range g.Keys() {
		for _, arc := range g.Out(id) {
			mark := ""
			if arc.Edge.Notify {
				mark = "!"
			}
			all = append(all, fmt.Sprintf("%s>%s%s", id.Name, arc.Key.Name, mark))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
