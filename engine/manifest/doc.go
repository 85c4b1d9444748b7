// Package manifest reads graph files: YAML in, an [engine.Program] out.
//
// Every mistake of every file is reported at once, as a [Diagnostic] with its line, its column and
// what to do about it. Reading touches nothing but the file and what its relative sources name.
package manifest
