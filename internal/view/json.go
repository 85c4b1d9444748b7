package view

import (
	"encoding/json"
	"io"
	"sync"
)

// NewJSON returns a view that writes one JSON object a line, the first of them Begin's.
func NewJSON(w io.Writer, version string) Sink {
	v := &jsonView{enc: json.NewEncoder(w)}
	v.enc.SetEscapeHTML(false)
	v.Emit(Begin(version))
	return v
}

type jsonView struct {
	mu  sync.Mutex
	enc *json.Encoder
}

// Emit writes r. That a reader has gone is no reason to stop a run.
func (v *jsonView) Emit(r Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.enc.Encode(r)
}
