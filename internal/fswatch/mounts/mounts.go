// Package mounts tells what is mounted where, and when that changes.
package mounts

import "strings"

// Under returns those of points that are path itself or lie below it. path is clean.
func Under(points []string, path string) []string {
	var under []string
	for _, p := range points {
		if Covers(path, p) {
			under = append(under, p)
		}
	}
	return under
}

// Covers reports whether path is dir itself or lies below it. Both are clean.
func Covers(dir, path string) bool {
	return dir == path || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}
