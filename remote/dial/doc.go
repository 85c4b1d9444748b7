// Package dial goes from a host's address as people write it to an authenticated SSH
// connection, the way their ssh_config, ssh-agent and known_hosts say. It knows nothing of what
// the connection is for.
//
// # Honoured
//
// These keywords of ssh_config(5) act as OpenSSH has them, with Host, Match (all, canonical, final,
// host, originalhost, user, localuser) and Include:
//
//	AddressFamily, BatchMode, CASignatureAlgorithms, CertificateFile, Ciphers,
//	ConnectTimeout, GlobalKnownHostsFile, HashKnownHosts, HostKeyAlgorithms, HostKeyAlias,
//	HostName, IdentitiesOnly, IdentityAgent, IdentityFile, KbdInteractiveAuthentication
//	(ChallengeResponseAuthentication), KexAlgorithms, MACs, NumberOfPasswordPrompts,
//	PasswordAuthentication, Port, PreferredAuthentications, ProxyCommand, ProxyJump,
//	PubkeyAcceptedAlgorithms (PubkeyAcceptedKeyTypes), PubkeyAuthentication,
//	RequiredRSASize, RevokedHostKeys, ServerAliveCountMax, ServerAliveInterval, StrictHostKeyChecking, User,
//	UserKnownHostsFile
//
// They differ from OpenSSH in this:
//   - StrictHostKeyChecking: no and off are taken as accept-new, with a warning; ask is taken as
//     yes. A changed or revoked host key is refused whatever is set.
//   - ServerAliveInterval is 5 s where it is not set, so a cut link is noticed within 20 s.
//   - IdentityFile: the keys named go ahead of what else the agent holds, for hosts hang up
//     after a few. A key that others may read is refused.
//   - PreferredAuthentications: password goes ahead of keyboard-interactive by default.
//   - ProxyJump: hosts behind one jump host share a connection to it.
//   - The tokens are %% %h %n %p %r %u %i %d %k %l %L; a line with another is an error.
//   - RevokedHostKeys: a list of keys, one a line; OpenSSH's binary format is refused.
//   - A host that is known by one type of key and shows another is taken for one whose key has
//     changed.
//
// # Not honoured, with a warning that names file and line
//
//	BindAddress, BindInterface, CanonicalizeHostname, CheckHostIP, HostbasedAuthentication,
//	KnownHostsCommand, PKCS11Provider, ProxyUseFdpass, VerifyHostKeyDNS,
//	Match by exec, localnetwork, tagged and others (the block is left out)
//
// A keyword that nobody knows is warned of likewise, unless IgnoreUnknown has it.
//
// # Not honoured, in silence
//
// Whatever concerns forwarding (none is ever done), multiplexing, terminals, environment,
// Kerberos, logging and compression; and NoHostAuthenticationForLocalhost, as every host key
// is verified.
package dial
