// Package remote runs an agent on a host that offers nothing but SSH.
//
// A Session copies an executable and some files to a private directory of the host, offers the
// host a way back to a store, starts the agent, relays its lines, makes a dropped connection
// anew, finds the same agent again, and in the end takes everything away but the cached
// executable. It knows neither graphs nor etcd: it is given an executable, files, an argv and a
// function that dials the store.
//
// What lies on a host, below the first usable directory of a short list:
//
//	cache/<sha256>/spore   the executable, kept between sessions
//	run-<id>/              one session's private directory, 0700
//	    lock               flocked by the agent as long as it lives
//	    pid                the agent's process id, written as it starts
//	    store.sock         the way back to the store, where sshd permits a socket
//	    …                  the session's files
//
// The parts, in the order in which a session uses them: connect.go, probe.go and probe.sh,
// install.go, files.go, tunnel.go, agent.go, supervise.go, clean.go and clean.sh; host.go and
// room.go hand out the sessions of one host. Every command on the host is started by command.go, and
// where it is to be another user's by become.go, talk.go and tty.go.
package remote
