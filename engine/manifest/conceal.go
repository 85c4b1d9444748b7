package manifest

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v4"
)

// conceal puts stars in the place of an address's password, in the text that travels. Nobody but
// the initiator has a use for it.
func (d *document) conceal(n *yaml.Node) bool {
	from, to := passwordIn(n.Value)
	if from == to {
		return true
	}
	start := at(n)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		start.column++
	}
	i, ok := find(d.manifest.Text, n.Value, start)
	if !ok {
		d.fail(at(n), "write it on one line without escapes, or leave the password out: it will be asked for",
			"remote: the password in this address cannot be found, and it must not travel")
		return false
	}
	copy(d.manifest.Travels[i+from:], strings.Repeat("*", to-from))
	return true
}

// passwordIn returns where in an address the password is.
func passwordIn(address string) (from, to int) {
	to = strings.LastIndexByte(address, '@')
	if to < 0 {
		return 0, 0
	}
	if i := strings.Index(address[:to], "://"); i >= 0 {
		from = i + len("://")
	}
	colon := strings.IndexByte(address[from:to], ':')
	if colon < 0 {
		return 0, 0
	}
	return from + colon + 1, to
}

// find returns the offset of what stands at p in the text, if that is s.
func find(text []byte, s string, p position) (offset int, ok bool) {
	body := bytes.TrimPrefix(text, byteOrderMark)
	for i := 0; ; i++ {
		next := bytes.Index(body[i:], []byte(s))
		if next < 0 {
			return 0, false
		}
		if i += next; positionOf(body[:i]) == p {
			return len(text) - len(body) + i, true
		}
	}
}
