// Package dial goes from a host's address as people write it to an authenticated SSH
// connection, the way their ssh_config, agent and known_hosts say.
package dial
