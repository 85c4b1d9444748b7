package resident

import "strings"

// unitName is what systemd knows a service by.
func unitName(service string) string { return "spore-" + service + ".service" }

// unit returns the unit file of a service.
func (l Layout) unit(service string) string {
	text := agentUnit
	if service == StoreService {
		text = storeUnit
	}
	return strings.NewReplacer("@BINARY@", l.Binary(), "@DIR@", l.Dir(), "@STORE@", l.Store(), "@WANTED@", l.wanted(service)).Replace(text)
}

// agentUnit has no sandbox: the agent may have to change anything on its host, and so may what it
// runs. Settings that systemd does not know yet it ignores.
const agentUnit = `# Written by spore; "spore resident remove" takes it away.
[Unit]
Description=spore: keeps this host as its graph declares
# Not network-online.target: a host without a network has to boot, and keeps its last graph.
After=network.target
# Without its configuration the agent has nothing to do; an agent that ends is started for ever.
ConditionPathExists=@WANTED@
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=@BINARY@ resident agent
# For HOME and the like, which commands of graphs may need.
User=root
WorkingDirectory=@DIR@
Restart=always
RestartSec=1
# The agent ends its commands itself, in good order; what is left when it has ended is killed, so
# that the next agent does not work beside commands of the last one.
KillMode=mixed
TimeoutStopSec=60
# The limits are those of the agent, which needs some 50 MiB, and of all that it runs: package
# managers and builds need hundreds, on any size of host. They are there for what runs wild, and
# leave the rest of the host a part. If a command is killed for its memory, the agent goes on.
MemoryHigh=70%
MemoryMax=85%
OOMPolicy=continue
# Rather something else than who mends the host. Commands inherit it, so it is no more than a word
# in its favour.
OOMScoreAdjust=-200
# Memory holds secrets.
LimitCORE=0
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`

// storeUnit has a sandbox: the store writes its own directory and talks to the network, and no more.
const storeUnit = `# Written by spore; "spore resident remove" takes it away.
[Unit]
Description=spore: serves the store of the fleet
After=network.target
# A store that took itself away is not started again.
ConditionPathExists=@WANTED@
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=@BINARY@ resident store
WorkingDirectory=@STORE@
Restart=always
RestartSec=1
TimeoutStopSec=60
MemoryHigh=768M
MemoryMax=1G
OOMScoreAdjust=-500
LimitCORE=0
# A connection is a file, and each host of the fleet has some.
LimitNOFILE=524288
UMask=0077

# It is root by its files alone: no capability, nothing to write but its own directory.
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=@STORE@
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`
