package dial

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"spore/remote/dial/sshconfig"
)

// unhonoured are the keywords that bear on security or on where a connection goes, and that this
// package does not act on, with what that means. A keyword that only matters to interactive use
// is left out and passed over in silence.
var unhonoured = map[string]string{
	"bindaddress":             "connections start from the address the system chooses",
	"bindinterface":           "connections start from the interface the system chooses",
	"canonicalizehostname":    "names are used as written",
	"checkhostip":             "only the name is looked up in known_hosts",
	"hostbasedauthentication": "host-based authentication is not offered",
	"knownhostscommand":       "host keys are looked up in files only",
	"pkcs11provider":          "keys on tokens are used through ssh-agent only",
	"proxyusefdpass":          "the proxy command must carry the connection itself",
	"verifyhostkeydns":        "host keys are looked up in files only",
}

// harmless values of the keywords above turn the thing off.
var harmless = []string{"no", "none", "false"}

// warnings says, with file:line, which settings are not honoured as written.
func warnings(cfg *sshconfig.Settings) []string {
	list := slices.Concat(cfg.Skipped(), unknown(cfg))
	for _, key := range slices.Sorted(maps.Keys(unhonoured)) {
		v, ok := cfg.Get(key)
		if ok && !slices.Contains(harmless, strings.ToLower(v.String())) {
			list = append(list, fmt.Sprintf("%s: %s is not honoured: %s", v.Pos, key, unhonoured[key]))
		}
	}
	return append(list, trustWarnings(cfg)...)
}

func trustWarnings(cfg *sshconfig.Settings) []string {
	strict, ok := cfg.Get("stricthostkeychecking")
	if !ok {
		return nil
	}
	switch strings.ToLower(strict.String()) {
	case "no", "off", "false":
	default:
		return nil
	}
	text := strict.Pos + ": StrictHostKeyChecking no is taken as accept-new: a host that is not known yet is trusted, one whose key has changed is refused"
	if files, ok := cfg.Get("userknownhostsfile"); ok && slices.Contains([]string{"/dev/null", "none"}, files.String()) {
		text += fmt.Sprintf("; with %s (%s) no key is remembered, so every run trusts whoever answers", files, files.Pos)
	}
	return []string{text}
}
