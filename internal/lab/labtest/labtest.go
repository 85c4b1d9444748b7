// Package labtest brings up lab hosts for tests.
package labtest

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"spore/internal/lab"
)

// Need skips the test where labs are impossible: without root, or on a system that is not Linux.
// A CI run as root is never skipped: what it misses is a failure.
func Need(t testing.TB) {
	t.Helper()
	strict := os.Getenv("CI") == "true" && os.Geteuid() == 0
	switch {
	case strict:
	case runtime.GOOS != "linux":
		t.Skip("lab hosts need Linux")
	case os.Geteuid() != 0:
		t.Skip("lab hosts need root")
	}
}

// For brings up a lab of n hosts that ends with the test, or skips it as Need does.
func For(t testing.TB, n int, opts lab.Options) *lab.Lab {
	t.Helper()
	Need(t)
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(writer{t}, nil))
	}
	// Not t.Context(): that ends before the cleanups of the test, which may still want the hosts.
	l, err := lab.Up(context.Background(), n, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// writer sends log lines to the test's own log.
type writer struct{ t testing.TB }

var _ io.Writer = writer{}

func (w writer) Write(p []byte) (int, error) {
	w.t.Log(string(p))
	return len(p), nil
}
