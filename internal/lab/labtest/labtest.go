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

// For brings up a lab of n hosts that ends with the test. Where labs are impossible, without
// root or Linux, the test is skipped; but a CI run as root fails instead.
func For(t testing.TB, n int, opts lab.Options) *lab.Lab {
	t.Helper()
	strict := os.Getenv("CI") == "true" && os.Geteuid() == 0
	switch {
	case strict:
	case runtime.GOOS != "linux":
		t.Skip("lab hosts need Linux")
	case os.Geteuid() != 0:
		t.Skip("lab hosts need root")
	}
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
