package view

import "spore/engine"

// Redact returns a sink that takes secrets out of what it hands on: clean returns a text without.
func Redact(sink Sink, clean func(string) string) Sink {
	return SinkFunc(func(r Record) {
		r.Message = clean(r.Message)
		if len(r.Attrs) > 0 {
			attrs := make(map[string]string, len(r.Attrs))
			for k, v := range r.Attrs {
				attrs[k] = clean(v)
			}
			r.Attrs = attrs
		}
		if r.Event != nil {
			e := *r.Event
			e.Err, e.Changes = clean(e.Err), cleanChanges(e.Changes, clean)
			r.Event = &e
		}
		if r.Recap != nil {
			c := *r.Recap
			c.Error = clean(c.Error)
			r.Recap = &c
		}
		sink.Emit(r)
	})
}

func cleanChanges(changes []engine.Change, clean func(string) string) []engine.Change {
	out := make([]engine.Change, len(changes))
	for i, c := range changes {
		out[i] = engine.Change{Field: c.Field, From: clean(c.From), To: clean(c.To), Diff: clean(c.Diff)}
	}
	return out
}
