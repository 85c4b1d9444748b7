//go:build race

package e2e

// raced is whether the binary looks for data races, as these tests do.
const raced = true
