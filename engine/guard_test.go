package engine

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	var none map[string]int
	var nobody *thing
	tests := map[string]struct {
		f    func() error
		want string
	}{
		"a value":     {func() error { panic("boom") }, `^panic: boom \(guard_test\.go:\d+\)$`},
		"an error":    {func() error { panic(errBroken) }, `^panic: broken \(guard_test\.go:\d+\)$`},
		"a nil map":   {func() error { none["x"] = 1; return nil }, `^panic: assignment to entry in nil map \(guard_test\.go:\d+\)$`},
		"nil pointer": {func() error { nobody.name = ""; return nil }, `^panic: runtime error: .* \(guard_test\.go:\d+\)$`},
		"plain error": {func() error { return errBroken }, `^broken$`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			err := guard(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), tt.f)
			if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if stack := strings.Contains(log.String(), "goroutine"); stack == (name == "plain error") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}
