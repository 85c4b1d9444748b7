// Package resident is what a detached fleet leaves on each of its hosts: an agent that outlives the
// initiator, on some hosts a member of the store, and what keeps both running.
//
// # Layout
//
//	/var/lib/spore/
//	  bin/spore              the binary that all of it runs
//	  bin/spore.previous     the one before an upgrade
//	  resident/              0700
//	    config.json          a Config
//	    credentials.json     the host's, renewed by itself
//	    identity             age identity: what is meant for this host alone is encrypted for it
//	    endpoints.json       where the members of the store were last
//	    graph.json           the graph last seen in the store, to begin with when that is out of reach
//	    lease                that of the last agent
//	    tree/<digest>/       what travelled with a graph
//	    state/               what resources keep
//	    log/                 the agent's records
//	    lock, pid, agent.sock
//	    started              there once the installation was started
//	    agent.supervisor     lock of the daemon that keeps the agent running, without systemd;
//	    agent.ended          how it ended last; for the store likewise
//	  store/                 0700, on members only
//	    member.json          a Membership
//	    ca.crt, ca.key       the authority of the cluster
//	    data/                etcd's
//	    snapshots/           of the last hours
package resident
