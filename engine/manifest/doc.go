// Package manifest reads graph files: YAML in, an [engine.Program] out.
//
// Every mistake of every file is reported at once, as a [Diagnostic] with its line, its column and
// what to do about it. Reading touches nothing but the file and what its relative sources name, and
// no diagnostic shows the value of a secret field or the password of an address.
//
// The format is that of mgmt's YAML graphs. At the top level there are graph, comment, hostname,
// remote (an address or a list of them), resources (a map of kind to a list of maps), edges (a list
// of from, to and notify) and collect (a list of kind and pattern). A resource has a name, meta, and
// the fields of its kind; one whose name begins with @@ is exported instead of applied. Beyond mgmt
// a resource may have require, before, notify and subscribe, each kind/name or a list of these.
//
// A scalar in a field that takes a string is the text that was written, so that mode: 0644 needs no
// quotes; a null counts as absent. Anchors, aliases and merge keys work.
package manifest
