package view

import (
	"encoding/json"
	"strings"
	"testing"

	"spore/engine"
)

// Whatever field a secret is put into, it does not get through.
func TestRedactCleansEveryText(t *testing.T) {
	const secret = "hunter22"
	var got []Record
	sink := Redact(SinkFunc(func(r Record) { got = append(got, r) }), func(s string) string {
		return strings.ReplaceAll(s, secret, "********")
	})
	r := Record{
		Message: secret, Attrs: map[string]string{"err": secret},
		Event: &engine.Event{Err: secret, Changes: []engine.Change{{Field: "content", From: secret, To: secret, Diff: "-" + secret}}},
		Recap: &Recap{Error: secret},
	}
	sink.Emit(r)
	text, err := json.Marshal(got)
	if err != nil || strings.Contains(string(text), secret) || strings.Count(string(text), "********") != 7 {
		t.Errorf("got %s, %v", text, err)
	}
	if r.Attrs["err"] != secret || r.Event.Err != secret || r.Recap.Error != secret {
		t.Error("the record itself was changed")
	}
}
