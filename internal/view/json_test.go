package view

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"spore/engine"
)

func TestJSONBeginsWithItsFormat(t *testing.T) {
	var out bytes.Buffer
	NewJSON(&out, "v1.2.3")
	if !strings.HasPrefix(out.String(), Marker) {
		t.Errorf("the stream begins with %q, want %q", out.String(), Marker)
	}
	var r Record
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Version != "v1.2.3" || r.Type != Start {
		t.Errorf("the first record is %+v (%v)", r, err)
	}
}

// What an agent writes the initiator reads: nothing may get lost on the way.
func TestJSONKeepsRecords(t *testing.T) {
	exit := 2
	for _, want := range []Record{
		{Type: Log, Seq: 7, Level: slog.LevelWarn, Host: "a", Message: "<&>\x1b", Attrs: map[string]string{"k": "v"}},
		{Type: Resource, Event: &engine.Event{
			Resource: engine.ID{Kind: "file", Name: "x", From: "b"}, State: engine.Failed, Err: "no", Took: time.Second,
			Changes: []engine.Change{{Field: "mode", From: "1", To: "2", Diff: "d"}},
		}},
		{Type: Progress, Host: "a", Done: 1, Total: 2},
		{Type: Summary, Recap: &Recap{Counts: engine.Counts{Total: 1, OK: 1}, State: StateConverged, Sent: 3, Took: 4, Error: "e"}},
		{Type: End, Exit: &exit},
	} {
		want.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		if want.Event != nil {
			want.Event.Time = want.Time
		}
		var out bytes.Buffer
		v := NewJSON(&out, "")
		out.Reset()
		v.Emit(want)
		var got Record
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %+v (%v)", out.String(), got, err)
		}
		if strings.Count(out.String(), "\n") != 1 || strings.Contains(out.String(), `\u003c`) {
			t.Errorf("written as %q", out.String())
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestJSONOutlivesItsReader(t *testing.T) {
	NewJSON(brokenPipe{}, "").Emit(Record{Type: End})
}

func TestLogger(t *testing.T) {
	var got []Record
	level := new(slog.LevelVar)
	log := NewLogger(SinkFunc(func(r Record) { got = append(got, r) }), level)
	log.Debug("too fine")
	log.With("host", "a", "x", 1).WithGroup("g").With("y", 2).Warn("careful",
		"err", errors.New("gone"), slog.Group("h", "z", 3*time.Second))
	level.Set(slog.LevelDebug)
	log.Debug("fine")
	if len(got) != 2 {
		t.Fatalf("%d records, want 2: %+v", len(got), got)
	}
	want := Record{
		Time: got[0].Time, Type: Log, Host: "a", Level: slog.LevelWarn, Message: "careful",
		Attrs: map[string]string{"x": "1", "g.y": "2", "g.err": "gone", "g.h.z": "3s"},
	}
	if !reflect.DeepEqual(got[0], want) || got[0].Time.IsZero() {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

// Two loggers made of one must not write into each other's attributes.
func TestLoggersAreApart(t *testing.T) {
	var got []Record
	log := NewLogger(SinkFunc(func(r Record) { got = append(got, r) }), slog.LevelInfo).With("a", 1, "b", 2, "c", 3)
	one, two := log.With("d", "one"), log.With("d", "two")
	one.Info("")
	two.Info("")
	if got[0].Attrs["d"] != "one" || got[1].Attrs["d"] != "two" {
		t.Errorf("got %v and %v", got[0].Attrs, got[1].Attrs)
	}
}
