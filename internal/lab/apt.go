package lab

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// An aptSource is one place that apt fetches packages from.
type aptSource struct {
	uri        string
	suites     []string
	components []string
}

// parseList reads the one-line style of sources.list(5).
func parseList(r io.Reader) ([]aptSource, error) {
	var out []aptSource
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		line, _, _ := strings.Cut(sc.Text(), "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, after, closed := strings.Cut(rest, "]")
			if !closed {
				continue
			}
			rest = after
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			continue
		}
		out = append(out, aptSource{uri: f[0], suites: f[1:2], components: f[2:]})
	}
	return out, sc.Err()
}

// parseDeb822 reads the stanza style of sources.list(5).
func parseDeb822(r io.Reader) ([]aptSource, error) {
	var out []aptSource
	fields := map[string]string{}
	last := ""
	flush := func() {
		out = append(out, stanzaSources(fields)...)
		fields, last = map[string]string{}, ""
	}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += " " + strings.TrimSpace(line)
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return out, sc.Err()
}

func stanzaSources(fields map[string]string) []aptSource {
	switch strings.ToLower(fields["enabled"]) {
	case "no", "false", "without", "off", "disable", "0":
		return nil
	}
	if !slices.Contains(strings.Fields(fields["types"]), "deb") {
		return nil
	}
	var out []aptSource
	for _, uri := range strings.Fields(fields["uris"]) {
		out = append(out, aptSource{
			uri:        uri,
			suites:     strings.Fields(fields["suites"]),
			components: strings.Fields(fields["components"]),
		})
	}
	return out
}

// aptSources reads every source that apt under etc (normally /etc/apt) would use.
func aptSources(etc string) []aptSource {
	paths := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.list", "*.sources"} {
		m, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		paths = append(paths, m...)
	}
	var out []aptSource
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		parse := parseList
		if strings.HasSuffix(path, ".sources") {
			parse = parseDeb822
		}
		found, err := parse(f)
		f.Close()
		if err == nil {
			out = append(out, found...)
		}
	}
	return out
}

// mirror picks the address to fetch suite from: the first source that offers its main component
// over a protocol debootstrap speaks. Without any it is empty: debootstrap knows Debian's own.
func mirror(sources []aptSource, suite string) string {
	for _, s := range sources {
		u, err := url.Parse(s.uri)
		if err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) {
			continue
		}
		if slices.Contains(s.suites, suite) && slices.Contains(s.components, "main") {
			return s.uri
		}
	}
	return ""
}
