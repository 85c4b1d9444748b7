package dial

import (
	"fmt"
	"slices"
	"strings"
)

// maxHops is how many jump hosts may stand before a host.
const maxHops = 16

// route lists the hosts to pass, the first to be dialled first, t itself last. It is worked out
// whole before anything is dialled, so that a loop is found and never waited for.
func (e *environment) route(t Target) ([]*settings, error) {
	s, err := e.resolve(t)
	if err != nil {
		return nil, err
	}
	route := []*settings{s}
	for first := s; len(first.jump) > 0; first = route[0] {
		last := len(first.jump) - 1
		hop, err := e.resolve(first.jump[last])
		if err != nil {
			return nil, err
		}
		if last > 0 {
			// The hosts before it are as listed, whatever its own configuration says.
			hop.jump, hop.proxyCommand = first.jump[:last], ""
		}
		if hop.id() == first.id() {
			// "Host *" with a ProxyJump matches the jump host too: that one is reached directly.
			first.jump = nil
			break
		}
		route = slices.Insert(route, 0, hop)
		if len(route) > maxHops || slices.ContainsFunc(route[1:], func(s *settings) bool { return s.id() == hop.id() }) {
			return nil, fmt.Errorf("reach %s: ProxyJump runs in a circle: %s", t.Name(), describe(route))
		}
	}
	return route, nil
}

func describe(route []*settings) string {
	names := make([]string, len(route))
	for i, s := range route {
		names[i] = s.target.Name()
	}
	return strings.Join(names, " → ")
}

// key tells shared connections apart: same hosts, same users, same way.
func key(route []*settings) string {
	var b strings.Builder
	for _, s := range route {
		b.WriteString(s.id() + "\x00" + s.proxyCommand + "\x00" + s.hostKeyAlias + "\x00")
	}
	return b.String()
}
