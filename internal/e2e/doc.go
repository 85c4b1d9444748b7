// Package e2e holds the tests of the whole: the binary that people run, against hosts with a
// systemd and an OpenSSH of their own. There is nothing else in it.
package e2e
