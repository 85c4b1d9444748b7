package mounts

import (
	"slices"
	"testing"
)

func TestUnder(t *testing.T) {
	points := []string{"/", "/a", "/a/b", "/ab", "/c"}
	tests := []struct {
		path string
		want []string
	}{
		{"/", points},
		{"/a", []string{"/a", "/a/b"}},
		{"/a/b", []string{"/a/b"}},
		{"/a/b/c", nil},
		{"/d", nil},
	}
	for _, test := range tests {
		if got := Under(points, test.path); !slices.Equal(got, test.want) {
			t.Errorf("Under(%s) = %v, want %v", test.path, got, test.want)
		}
	}
}
