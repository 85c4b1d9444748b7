package fleet

import (
	"fmt"

	"spore/engine/manifest"
	"spore/remote/dial"
)

// A Host is one host and the graph that is meant for it.
type Host struct {
	Name     string // in the exchange, in logs, in the recap
	Target   dial.Target
	Manifest *manifest.Manifest
}

// Hosts returns the hosts that the manifests name. The error is manifest.Diagnostics: an address
// that is none, a manifest without a host, a host with two graphs.
func Hosts(manifests []*manifest.Manifest) ([]Host, error) {
	var hosts []Host
	var wrong manifest.Diagnostics
	first := map[string]manifest.Diagnostic{} // where a name was given
	for _, m := range manifests {
		if len(m.Remotes) == 0 {
			wrong = append(wrong, manifest.Diagnostic{
				File: m.File, Message: "no host is named",
				Hint: "add a line such as  remote: ssh://root@hostname  or run it here with --file",
			})
		}
		for _, r := range m.Remotes {
			at := manifest.Diagnostic{File: m.File, Line: r.Line, Column: r.Column}
			target, err := dial.Parse(r.Address)
			if err != nil {
				at.Message = err.Error()
				wrong = append(wrong, at)
				continue
			}
			name := target.Name()
			if m.Hostname != "" && len(m.Remotes) == 1 {
				name = m.Hostname
			} else if m.Hostname != "" {
				at.Message = "hostname is given, but there are several remotes"
				at.Hint = "leave hostname out: each host is then called by its address"
				wrong = append(wrong, at)
			}
			if other, ok := first[name]; ok {
				at.Message = fmt.Sprintf("host %s has a graph already, from %s", name, other.Position())
				at.Hint = "put what the host is to do into one graph"
				wrong = append(wrong, at)
				continue
			}
			first[name] = at
			hosts = append(hosts, Host{Name: name, Target: target, Manifest: m})
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return hosts, nil
}
