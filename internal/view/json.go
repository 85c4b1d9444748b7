package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"unicode"
	"unicode/utf16"
)

// NewJSON returns a view that writes one JSON object a line, the first of them Begin's.
func NewJSON(w io.Writer, version string) Sink {
	v := &jsonView{enc: json.NewEncoder(escaper{w})}
	v.enc.SetEscapeHTML(false)
	v.Emit(Begin(version))
	return v
}

type jsonView struct {
	mu  sync.Mutex
	enc *json.Encoder
}

// Emit writes r. Whether a run goes on without a reader is not for a view to say.
func (v *jsonView) Emit(r Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.enc.Encode(r)
}

// An escaper writes JSON so that a terminal acts on nothing in it: what control characters
// encoding/json leaves as they are, and characters that are not seen, become escapes.
type escaper struct{ w io.Writer }

func (e escaper) Write(b []byte) (int, error) {
	if !bytes.ContainsFunc(b, acts) {
		return e.w.Write(b)
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case !acts(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	if _, err := e.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// acts reports whether r, in JSON, is one that a terminal may act on. The newline ends the record.
func acts(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }
