package etcd

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheSecondOfTwoDeployersIsTold(t *testing.T) {
	s := openStore(t, startServer(t))
	ctx := t.Context()
	_, was, err := s.Revisions(ctx) // what both have seen
	if err != nil || len(was) != 0 {
		t.Fatalf("%v, %v", was, err)
	}
	first := map[string]Graph{"a": {Text: "first"}, "b": {Text: "first"}}
	next, err := s.ReplaceGraphs(ctx, first, was)
	if err != nil || next["a"] == 0 || next["a"] != next["b"] {
		t.Fatalf("%v, %v", next, err)
	}
	if _, err := s.ReplaceGraphs(ctx, map[string]Graph{"b": {Text: "second"}, "c": {Text: "second"}}, was); !errors.Is(err, ErrChanged) {
		t.Errorf("the error is %v", err)
	}
	// Again what was written already, as after an answer that was lost.
	if again, err := s.ReplaceGraphs(ctx, first, was); err != nil || !maps.Equal(again, next) {
		t.Errorf("%v, %v", again, err)
	}
	graphs, now, err := s.Revisions(ctx)
	if err != nil || len(graphs) != 2 || graphs["b"].Text != "first" || !maps.Equal(now, next) {
		t.Errorf("%v at %v, %v", graphs, now, err)
	}
	if _, err := s.ReplaceGraphs(ctx, map[string]Graph{"b": {Text: "third"}}, now); err != nil {
		t.Error(err)
	}
}

func TestGraphsThatAreTooLargeForOneRequest(t *testing.T) {
	s := openStore(t, startServer(t))
	graphs := map[string]Graph{}
	for _, host := range strings.Fields("a b c d e") {
		graphs[host] = Graph{Text: strings.Repeat(host, maxRequest/2)}
	}
	next, err := s.ReplaceGraphs(t.Context(), graphs, nil)
	if err != nil || len(next) != len(graphs) {
		t.Fatalf("%v, %v", next, err)
	}
	held, revisions, err := s.Revisions(t.Context())
	if err != nil || !maps.Equal(revisions, next) {
		t.Errorf("%v instead of %v, %v", revisions, next, err)
	}
	for host, g := range graphs {
		if held[host].Text != g.Text {
			t.Errorf("that of %s is another", host)
		}
	}
}

func TestDeployersTakeTurns(t *testing.T) {
	s := openStore(t, startServer(t))
	_, steward, err := s.Lock(t.Context()) // who is none of them
	if err != nil {
		t.Fatal(err)
	}
	defer steward()
	_, release, err := s.LockGraphs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.LockGraphs(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	release()
	_, release, err = s.LockGraphs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestRecipientsOutliveTheirHosts(t *testing.T) {
	s := openStore(t, startServer(t))
	for _, host := range []string{"a", "b/c", "a"} {
		if err := s.PutRecipient(t.Context(), host, "age of "+host); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Dismiss(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recipients(t.Context())
	if err != nil || !slices.Equal(slices.Collect(maps.Keys(got)), []string{"b/c"}) || got["b/c"] != "age of b/c" {
		t.Errorf("%v, %v", got, err)
	}
}
