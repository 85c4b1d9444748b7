package lab

import (
	"maps"
	"slices"
	"strings"
)

// ignored is what a host does by itself, or because someone logged in, beginning with these words;
// a word that ends in $ is a whole name.
var ignored = map[string][]string{
	"process": {"sshd: ", "/usr/sbin/sshd -D -R", "/lib/systemd/systemd --user", "/usr/lib/systemd/systemd --user", "(sd-pam)"},
	"socket":  {"unix /run/user/"},
	"mount":   {"/run/user/"},
	"unit":    {"session-", "user@", "user-", "run-user-", "run-credentials-"},
	"file": {
		"/run/log/journal/", "/var/log/journal/", "/run/systemd/journal/", "/run/utmp", "/var/log/wtmp",
		"/var/log/btmp", "/var/log/lastlog", "/run/motd", "/run/user/", "/run/nologin",
		"/run/systemd/sessions/", "/run/systemd/users/", "/run/systemd/seats/", "/run/systemd/units/invocation:",
		"/run/systemd/transient$", "/run/systemd/transient/session-", "/run/systemd/propagate", "/run/systemd/ask-password",
		"/var/lib/systemd/linger", "/dev/pts/",
	},
}

// Diff lists what changed from s to after, a line each: "+" came, "-" went, "~" is different.
// Left out are journals, log-in records and the sessions of the moment, and the files whose
// path begins with one of the given prefixes.
func (s Snapshot) Diff(after Snapshot, ignoreFiles ...string) []string {
	var out []string
	diff := func(kind string, a, b map[string]string, ignore []string) {
		out = append(out, diffMaps(kind, a, b, ignore)...)
	}
	diff("process", s.Processes, after.Processes, ignored["process"])
	diff("socket", s.Sockets, after.Sockets, ignored["socket"])
	diff("mount", s.Mounts, after.Mounts, ignored["mount"])
	diff("user", s.Users, after.Users, nil)
	diff("unit", s.Units, after.Units, ignored["unit"])
	diff("file", s.Files, after.Files, slices.Concat(ignored["file"], ignoreFiles))
	return out
}

func diffMaps(kind string, before, after map[string]string, ignore []string) []string {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if slices.ContainsFunc(ignore, func(prefix string) bool { return strings.HasPrefix(name+"/", prefix) || name+"$" == prefix }) {
			continue
		}
		a, had := before[name]
		b, has := after[name]
		switch {
		case !had:
			out = append(out, "+ "+kind+" "+name+" "+b)
		case !has:
			out = append(out, "- "+kind+" "+name+" "+a)
		case a != b:
			out = append(out, "~ "+kind+" "+name+" "+a+" -> "+b)
		}
	}
	return out
}
