// Package chaos breaks the hosts of a detached fleet, one way after another, and checks that the
// fleet mends itself.
//
// A campaign sets a fleet up with the command line, as a person would, and from then on does
// everything from outside: graphs are deployed all along by the real CLI, hosts are broken by their
// lab, and what is on their disks and which processes they run is read from the machine.
//
// A round is one fault of the plan: it strikes, holds, and is healed; meanwhile graphs are deployed
// and somebody else's hand changes a file. Then the deploys rest, and within a bounded time
//
//   - the status has every host converged and as many members vote as are to;
//   - no host holds less than what was last acknowledged, and each what its neighbours export.
//
// All along, no host may run two agents, no more members may vote than are to and no fewer than a
// majority of those, and no export may come back that was withdrawn.
//
// The plan follows from its seed alone, so that a campaign can be replayed.
package chaos
