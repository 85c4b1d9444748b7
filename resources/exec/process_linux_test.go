package exec

import (
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"spore/engine"
)

// This process plays an agent when this variable names a pipe.
const playAgent = "SPORE_TEST_EXEC_AGENT"

func TestKilledAgentLeavesNoOrphan(t *testing.T) {
	if path := os.Getenv(playAgent); path != "" {
		r, err := Kind().Open("x", Spec{Cmd: "exec 3>" + path + "; echo ready >&3; exec sleep 1000", Shell: "/bin/sh"},
			engine.Env{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = converge(t.Context(), r)
		t.Fatalf("the command ended: %v", err)
	}
	life := newLifeline(t)
	agent := exec.Command(os.Args[0], "-test.run=^TestKilledAgentLeavesNoOrphan$")
	agent.Env = append(os.Environ(), playAgent+"="+life.path)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	life.says()
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	life.gone()
}
