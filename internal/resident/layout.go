package resident

import "path/filepath"

func (l Layout) config() string      { return filepath.Join(l.Dir(), "config.json") }
func (l Layout) credentials() string { return filepath.Join(l.Dir(), "credentials.json") }
func (l Layout) identity() string    { return filepath.Join(l.Dir(), "identity") }
func (l Layout) membership() string  { return filepath.Join(l.Store(), "member.json") }

// previous is the binary before the last upgrade.
func (l Layout) previous() string { return l.Binary() + ".previous" }

// started marks an installation that was started: only then does it belong to the fleet for good.
func (l Layout) started() string { return filepath.Join(l.Dir(), "started") }

// cached is where a session leaves the binary with this SHA-256, in hex.
func (l Layout) cached(digest string) string {
	return filepath.Join(l.Root, "cache", digest, "spore")
}

// wanted is the file without which there is nothing for a service to do.
func (l Layout) wanted(service string) string {
	if service == StoreService {
		return l.membership()
	}
	return l.config()
}

// command is what runs agent or store, or with "supervise" before it its supervisor.
func (l Layout) command(verb ...string) []string {
	argv := append([]string{l.Binary(), "resident"}, verb...)
	if l != Standard() {
		argv = append(argv, "--root", l.Root)
	}
	return argv
}
