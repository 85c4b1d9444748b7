// Package enginetest holds the laws that every [engine.Kind] and every [engine.World] keeps, as
// tests to be run against each of them.
package enginetest
