package print_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"spore/engine"
	"spore/engine/enginetest"
	"spore/resources/print"
)

func TestLaws(t *testing.T) {
	enginetest.TestKind(t, func(*testing.T) enginetest.Fixture {
		return enginetest.Fixture{Kind: print.Kind(), Name: "hello", Spec: print.Spec{}}
	})
}

func TestPrintsOnceAndAtEveryRefresh(t *testing.T) {
	var out bytes.Buffer
	spec := print.Spec{}.WithName("hello, world")
	r, err := print.Kind().Open("hello, world", spec, engine.Env{Log: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	printed := func(want int) {
		t.Helper()
		changes, err := r.Check(t.Context())
		if err == nil && len(changes) > 0 {
			err = r.Apply(t.Context(), changes)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), `level=INFO msg="hello, world"`); got != want {
			t.Errorf("printed %d times, want %d: %s", got, want, &out)
		}
	}
	printed(1)
	printed(1)
	r.(engine.Refresher).Refresh()
	printed(2)
	printed(2)
}

func TestNameStandsOnlyForAnAbsentMessage(t *testing.T) {
	if got := (print.Spec{Msg: "mine"}).WithName("name"); got != (print.Spec{Msg: "mine"}) {
		t.Errorf("got %+v", got)
	}
}
