package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"spore/engine/manifest"
	"spore/remote/dial"
)

// A Host is one host and the graph that is meant for it.
type Host struct {
	Name     string // in the exchange, in logs, in the recap
	Target   dial.Target
	Manifest *manifest.Manifest
}

// A Selection says which hosts a run is for, beside what the graphs say.
type Selection struct {
	File  string // a file of addresses, one a line, for the graphs that name no host
	Limit string // patterns of names: see parseLimit; empty is all
}

// Hosts returns the hosts that the manifests name. The error is manifest.Diagnostics where it is
// about a place in a file: an address that is none, a manifest without a host, a host with two graphs.
func Hosts(manifests []*manifest.Manifest, s Selection) ([]Host, error) {
	c := &census{first: map[string]manifest.Diagnostic{}}
	var err error
	if s.File != "" {
		if c.others, err = readHosts(s.File); err != nil {
			return nil, err
		}
	}
	for _, m := range manifests {
		c.count(m)
	}
	if len(c.wrong) > 0 {
		return nil, c.wrong
	}
	if s.File != "" && !c.used {
		return nil, fmt.Errorf("%s: each graph names its hosts itself: take the remote out of the one that is for these", s.File)
	}
	return limited(c.hosts, s.Limit)
}

func limited(hosts []Host, patterns string) ([]Host, error) {
	if patterns == "" {
		return hosts, nil
	}
	l, err := parseLimit(patterns)
	if err != nil {
		return nil, err
	}
	var some []Host
	for _, h := range hosts {
		if l.admits(h.Name) {
			some = append(some, h)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("limit %q leaves none of the %d hosts", patterns, len(hosts))
	}
	return some, nil
}

// A place is an address and where it was written.
type place struct {
	file, address string
	line, column  int
}

func (p place) diagnostic(message, hint string) manifest.Diagnostic {
	return manifest.Diagnostic{File: p.file, Line: p.line, Column: p.column, Message: message, Hint: hint}
}

// readHosts reads a file of addresses; what is behind # is left out.
func readHosts(path string) ([]place, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read hosts: %w", err)
	}
	var all []place
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		address, _, _ := strings.Cut(l, "#")
		if address = strings.TrimSpace(address); address != "" {
			all = append(all, place{file: path, address: address, line: line, column: 1 + strings.Index(l, address)})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read hosts: %s names none", path)
	}
	return all, nil
}

// A census finds out which hosts there are.
type census struct {
	others []place // from --hosts
	used   bool
	hosts  []Host
	wrong  manifest.Diagnostics
	first  map[string]manifest.Diagnostic // where a name was given
}

func (c *census) count(m *manifest.Manifest) {
	var places []place
	for _, r := range m.Remotes {
		places = append(places, place{m.File, r.Address, r.Line, r.Column})
	}
	if len(places) == 0 {
		places, c.used = c.others, true
	}
	if len(places) == 0 {
		c.wrong = append(c.wrong, manifest.Diagnostic{
			File: m.File, Message: "no host is named",
			Hint: "add a line such as  remote: ssh://root@hostname  or give --hosts, or run it here with --file",
		})
	}
	hostname := m.Hostname
	for _, p := range places {
		addresses, err := expand(p.address)
		if err != nil {
			c.wrong = append(c.wrong, p.diagnostic(err.Error(), ""))
			continue
		}
		if hostname != "" && len(places)*len(addresses) > 1 {
			c.wrong = append(c.wrong, p.diagnostic("hostname is given, but there are several hosts",
				"leave hostname out: each host is then called by its address"))
			hostname = ""
		}
		for _, a := range addresses {
			if err := c.add(m, p, a, hostname); err != nil {
				c.wrong = append(c.wrong, p.diagnostic(err.Error(), ""))
				break
			}
		}
	}
}

func (c *census) add(m *manifest.Manifest, p place, address, hostname string) error {
	target, err := dial.Parse(address)
	if err != nil {
		return err
	}
	name := cmp.Or(hostname, target.Name())
	if other, ok := c.first[name]; ok {
		return errors.New("host " + name + " has a graph already, from " + other.Position() +
			": put what a host is to do into one graph")
	}
	c.first[name] = p.diagnostic("", "")
	c.hosts = append(c.hosts, Host{Name: name, Target: target, Manifest: m})
	return nil
}
