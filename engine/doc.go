// Package engine keeps the resources of one host's graph as their specs declare them.
//
// Data travels, behaviour runs: a [Spec] is plain data that is decoded, compared and exported; a
// [Resource] is the behaviour that keeps one thing as its Spec says; a [Kind] joins the two. A
// [Program] is the graph of one host with what it exports and collects. The [Runner] owns the
// running graph: one worker per node watches, checks and applies, in the order the edges give, and
// a new Program replaces the running one by their difference.
//
// The engine knows neither YAML nor SSH nor etcd. What it needs of the other hosts it asks of a
// [World]; [Memory] is the one for a single process.
package engine
