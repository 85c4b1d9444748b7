// Package etcd is the store that the operator and the hosts share: an embedded server with its own
// certificate authority, the operator's view of it ([Store]) and a host's ([Client], an
// [engine.World]).
//
// # Keys
//
//	/spore/graphs/<host>                 desired graph, written by the operator
//	/spore/exports/<kind>/<host>/<name>  what a host exports, under its lease
//	/spore/hosts/<host>/report           a Report, under the lease
//	/spore/hosts/<host>/facts            Facts, under the lease
//	/spore/kv/<key>                      the values that hosts share
//	/spore/sync                          written by the operator to ask the hosts to catch up
//
// and once the fleet is detached:
//
//	/spore/cluster                       the Cluster: who finds one has found the store of a detached fleet
//	/spore/endpoints                     where the hosts reach the store
//	/spore/members/<host>                the Order to serve the store
//	/spore/hosts/<host>/request          a request for a certificate
//	/spore/certs/<host>                  the answer
//	/spore/leaving/<host>                the host is to be dismissed
//	/spore/recipients/<host>             for whom to encrypt what the host alone is to read
//	/spore/steward/, /spore/deploy/      locks
//	/spore.files/<digest>/<n>            the parts of a bundle
//
// Every <segment> is escaped, so that no name steps out of its place. The kind comes before the
// host so that "read only what it collects" is one permission a kind.
//
// # Convergence
//
// Graphs, exports and values are data; their revisions are totally ordered. A host's Report says
// that it was settled on graph revision G after every data write up to revision P had been handed
// to it. The fleet is converged when each host's report is settled, on that host's latest graph,
// with P at or past the last data write ([Fleet.Converged]). The operator sees data and reports
// through one watch, in the order of their revisions, so the rule compares like with like.
//
// A host that watches nothing of the last write does not see it and reports a P before it. One
// write to /spore/sync then makes every host ask for the progress of its watches, which all share
// one stream, and report anew.
package etcd
