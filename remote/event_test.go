package remote

import (
	"errors"
	"testing"
)

func TestConnectingSaysWhy(t *testing.T) {
	for _, c := range []struct {
		event Connecting
		want  string
	}{
		{Connecting{Attempt: 1}, "connecting"},
		{Connecting{Attempt: 2, Err: errors.New("no route\x1b[2J")}, "connecting, attempt 2: no route"},
	} {
		if got := c.event.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
