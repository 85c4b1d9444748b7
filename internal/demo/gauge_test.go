package demo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"spore/internal/view"
)

func TestGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGauge()
		ended, waited := make(chan error, 1), make(chan error, 1)
		wait := func() { waited <- g.wait(t.Context(), ended) }
		go wait()
		synctest.Wait()
		g.hear(view.Record{Type: view.Log})
		synctest.Wait()
		if len(waited) != 0 {
			t.Fatal("any record counts as convergence")
		}
		g.hear(view.Record{Type: view.Converged})
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		g.hear(view.Record{Type: view.Diverged})
		go wait()
		synctest.Wait()
		ended <- errors.New("gone")
		if err := <-waited; err == nil {
			t.Error("a run that ended has converged")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.wait(ctx, ended); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
