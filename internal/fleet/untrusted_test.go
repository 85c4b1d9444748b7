package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"

	"spore/internal/view"
)

// hostile are lines of an agent that wants to harm who reads them.
var hostile = []string{
	`{"type":"end","exit":0,"seq":-5,"message":"\u001b[2Jbye` + strings.Repeat("!", 1<<20) + `"}`,
	`{"type":"recap","host":"b","recap":{"state":"converged","ok":9}}`,
	`{"type":"converged","message":"all is well"}`,
	`{"type":"start","format":"spore-events/1","host":"b"}`,
	`{"type":"progress","host":"b","done":1,"total":0}`,
	`{"type":"link","host":"b","message":"connection lost"}`,
	`{"type":"resource","host":"b"}`,
	`{"type":"log","level":"ERROR","host":"b","message":"\u001b]0;title\u0007","attrs":{"host":"b","x\u001b[31m":"\u009b31m\u202e"},"exit":0,"recap":{"state":"converged"},"format":"x","done":7}`,
	`{"type":"resource","host":"b","event":{"resource":{"kind":"file","name":"\u001b[1A\r/etc"},"state":"failed","error":"\u001b[31m\u2066\ud834\udd73"}}`,
	"\x1b[31mnot a record",
	"{", "null", "[]", `"text"`, `{"time":"never"}`, `{"seq":1e400}`, `{"attrs":5}`,
	strings.Repeat("[", 1<<20),
}

func TestAHostileAgentSpeaksForItselfAlone(t *testing.T) {
	f, _ := crew(t, "remote: a\n", "remote: b\n")
	var lines, text, recap bytes.Buffer
	var told []view.Record
	sinks := []view.Sink{
		view.NewJSON(&lines, "test"),
		view.NewText(view.TextOptions{Out: &recap, Err: &text, Hosts: true, Diff: true}),
		view.SinkFunc(func(r view.Record) { told = append(told, r) }),
	}
	f.Sink = view.SinkFunc(func(r view.Record) {
		for _, s := range sinks {
			s.Emit(r)
		}
	})
	a := f.members[0]
	a.log = view.NewLogger(f.Sink, f.LogLevel).With("host", a.name)
	for _, l := range hostile {
		a.output(l)
	}
	kinds := map[view.Type]int{}
	for _, r := range told {
		kinds[r.Type]++
		if r.Host != "a" || r.Recap != nil || r.Exit != nil || r.Format != "" || r.Done != 0 {
			t.Errorf("told as the host's: %+v", r)
		}
	}
	if len(kinds) != 2 || kinds[view.Resource] != 1 || kinds[view.Log] < 2 {
		t.Errorf("told: %v", kinds)
	}
	for what, out := range map[string]string{"JSON": lines.String(), "text": text.String()} {
		for _, r := range out {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				t.Errorf("%s holds %U", what, r)
			}
		}
	}
	for dec := json.NewDecoder(&lines); ; {
		var r view.Record
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if len(a.lastWords()) > 5<<10 {
		t.Errorf("its last words are %d bytes", len(a.lastWords()))
	}
}

func TestGarbageIsNotShownForEver(t *testing.T) {
	f, told := crew(t, "remote: a\n")
	for i := range 10_000 {
		f.members[0].output(fmt.Sprint("garbage ", i))
	}
	if n := len(told.all); n != maxGarbage+1 {
		t.Errorf("%d records of garbage", n)
	}
}

func TestTextsOfTheStoreAreBounded(t *testing.T) {
	if got := clip(strings.Repeat("é", 1<<20)); len(got) > 5<<10 || !strings.HasSuffix(got, "é…") {
		t.Errorf("%d bytes are left", len(got))
	}
}
