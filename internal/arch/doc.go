// Package arch holds the test that imports point down only, and the table that says where down is.
package arch
