// Package lab gives tests, the demo and people real hosts on one Linux machine.
//
// A host is a systemd-nspawn container on an overlay of one cached Debian image, with its own
// network namespace, address, systemd and OpenSSH. It can be crashed, rebooted, cut off, slowed
// down, destroyed and looked into, one call each:
//
//	l, err := lab.Up(ctx, 3, lab.Options{})
//	defer l.Close()
//	exec.Command("ssh", "-F", l.SSHConfig(), l.Hosts[0].Name, "uptime")
//
// A lab needs root. It lives until Close, or until the context given to Up ends, or until the
// process that made it dies; what a killed process left behind is taken away by the next Up.
// Everything a lab makes on the machine carries its name, and nothing else is ever touched:
//
//	/run/spore-lab/NAME       keys, ssh_config, consoles, the lock that says the lab is alive
//	/var/lib/spore-lab/NAME   the hosts' disks
//	/var/cache/spore-lab      the image, the only thing that stays
//	spore<N>, spore<N>v<I>    the bridge and its ports; subnet 10.213.<N>.0/24
//	spore<N>-<host>           network namespaces, and cgroups below the owner's own
//
// Two things of the machine's it changes for good: packages that it needs and misses are
// installed, and the number of inotify instances a user may have is raised.
//
// A host sees no other network than its lab's: it has neither a default route nor a name server.
package lab
