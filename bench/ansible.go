package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"spore/internal/lab"
)

// A rival is a way to run ansible, how often it runs in one slow round, and how many times faster
// spore is to be.
type rival struct {
	name, strategy string
	installed      func() error
	often          int
	target         float64
}

// raceAnsible compares with ansible where it is installed. It is slow, so it runs seldom.
func (b *bench) raceAnsible(ctx context.Context, graph string) error {
	playbook, err := b.writePlaybook()
	if err != nil || !b.wants("bc") {
		return err
	}
	for _, rival := range []rival{
		{"ansible-core", "linear", hasAnsible, 1, 20},
		{"ansible with Mitogen", "mitogen_linear", hasMitogen, 3, 8},
	} {
		if err := rival.installed(); err != nil || b.slow == 0 {
			b.table.note("b, c: "+rival.name, "–", "left out: "+reason(err), "–")
			continue
		}
		if err := b.raceRival(ctx, rival, playbook, graph); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil { // no reason to do without the other figures
			b.say("%s: %v", rival.name, err)
			b.table.note("b, c: "+rival.name, "–", "failed", "–")
		}
	}
	return nil
}

func (b *bench) raceRival(ctx context.Context, r rival, playbook, graph string) error {
	theirs, ours := b.verified(b.ansible(playbook, r.strategy)), b.verified(b.sporeRun(graph))
	figures := map[string]func(context.Context) error{"b": b.clear(target), "c": b.clear()}
	for _, figure := range []string{"b", "c"} {
		if !b.wants(figure) {
			continue
		}
		took, err := b.race(ctx, b.slow*r.often, contestant{r.name + " " + figure, figures[figure], theirs}, contestant{figure, figures[figure], ours})
		if err != nil {
			return err
		}
		b.table.atLeast(figure+": times faster than "+r.name, took[figure].String(), took[r.name+" "+figure].String(),
			quotients(took[r.name+" "+figure], took[figure]), r.target)
	}
	return nil
}

func reason(err error) string {
	if err == nil {
		return "-slow-rounds is 0"
	}
	return err.Error()
}

func hasAnsible() error {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		return fmt.Errorf("not installed (ansible-core)")
	}
	return nil
}

func hasMitogen() error {
	if err := hasAnsible(); err != nil {
		return err
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import ansible_mitogen").Run(); err != nil {
		return fmt.Errorf("not installed (ansible-mitogen)")
	}
	return nil
}

// writePlaybook writes the job as a person would who wants it done fast: one task, no facts.
func (b *bench) writePlaybook() (string, error) {
	playbook := filepath.Join(b.dir, "site.yaml")
	text := fmt.Sprintf(`- hosts: all
  gather_facts: false
  tasks:
  - file: {path: /%s, state: directory}
  - copy: {src: "{{ item }}", dest: /%s/}
    with_fileglob: %s/tree/%s/*
`, target, target, b.dir, target)
	if err := os.WriteFile(playbook, []byte(text), 0o644); err != nil {
		return "", err
	}
	inventory := strings.Join(b.names(), " ansible_python_interpreter=/usr/bin/python3\n") + " ansible_python_interpreter=/usr/bin/python3\n"
	return playbook, os.WriteFile(filepath.Join(b.dir, "inventory"), []byte(inventory), 0o644)
}

// ansible runs the playbook over connections of its own.
func (b *bench) ansible(playbook, strategy string) func(context.Context) error {
	return func(ctx context.Context) error {
		masters, err := os.MkdirTemp(b.dir, "cp")
		if err != nil {
			return err
		}
		cmd := b.command(ctx, "ansible-playbook", "-i", filepath.Join(b.dir, "inventory"), "--forks", "50", "--timeout", "120", playbook)
		cmd.Env = append(cmd.Env, "ANSIBLE_PIPELINING=1", "ANSIBLE_STRATEGY="+strategy, "ANSIBLE_LOCAL_TEMP="+masters,
			"ANSIBLE_HOME="+masters, "ANSIBLE_SSH_CONTROL_PATH_DIR="+masters, "ANSIBLE_SSH_COMMON_ARGS=-F "+b.lab.SSHConfig(),
			"ANSIBLE_SSH_ARGS=-C -o ControlMaster=auto -o ControlPersist=60s", "ANSIBLE_REMOTE_USER=root")
		return finish(cmd)
	}
}

func (b *bench) ssh(ctx context.Context, h *lab.Host, script string) *exec.Cmd {
	return b.command(ctx, "ssh", "-F", b.lab.SSHConfig(), h.Name, script)
}
