package main

import (
	"io"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for args, want := range map[string]string{
		"-hosts 2":                     "it takes 3",
		"-binary /nowhere/spore":       "find spore",
		"-seed x":                      "invalid value",
		"-no-such-flag":                "not defined",
		"-binary /nowhere/spore extra": "takes no arguments",
	} {
		err := run(t.Context(), strings.Fields(args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, where %q is to be told", args, err, want)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard); err != nil {
		t.Errorf("help: %v", err)
	}
}
