package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"spore/internal/lab"
)

const (
	idle     = time.Minute
	memLimit = 40  // MiB resident, of an idle agent
	cpuLimit = 0.1 // percent of a CPU, which is what four timers a second of etcd's client may take
)

// footprint takes figure f of running processes: what they cost while nothing happens.
func (b *bench) footprint(ctx context.Context, j *job) error {
	if err := sleep(ctx, 2*time.Second); err != nil { // let the start die down
		return err
	}
	b.say("watching idle agents for %v", idle)
	before, err := b.agents(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, idle); err != nil {
		return err
	}
	after, err := b.agents(ctx)
	if err != nil {
		return err
	}
	var resident, anonymous, cpu []float64
	for i, a := range after {
		resident, anonymous = append(resident, a.resident), append(anonymous, a.anonymous)
		cpu = append(cpu, 100*(a.cpu-before[i].cpu).Seconds()/idle.Seconds())
	}
	b.table.below("f: idle agent, resident memory, the largest", fmt.Sprintf("%.1f MiB (%.1f anonymous)", slices.Max(resident), slices.Max(anonymous)),
		"MiB", slices.Max(resident), memLimit)
	b.table.below(fmt.Sprintf("f: idle agent, CPU over %v, the busiest", idle), fmt.Sprintf("%.2f %%", slices.Max(cpu)), "%", slices.Max(cpu), cpuLimit)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", j.cmd.Process.Pid))
	if err != nil {
		return err
	}
	self := cost{resident: mebibytes(status, "VmRSS"), anonymous: mebibytes(status, "RssAnon")}
	b.table.note(fmt.Sprintf("f: initiator of %d hosts, resident memory", b.hosts), fmt.Sprintf("%.1f MiB (%.1f anonymous)", self.resident, self.anonymous), "–", "–")
	return nil
}

// A cost is what a process has used: MiB, and time of a CPU.
type cost struct {
	resident, anonymous float64
	cpu                 time.Duration
}

// agents returns what the agent of each host has used.
func (b *bench) agents(ctx context.Context) ([]cost, error) {
	all := make([]cost, len(b.lab.Hosts))
	for i, h := range b.lab.Hosts {
		var err error
		if all[i], err = agent(ctx, h); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func agent(ctx context.Context, h *lab.Host) (cost, error) {
	text, err := h.Run(ctx, "sh", "-c", "cd /proc/$(cat /"+cache+"/run-*/pid) && cat stat status")
	if err != nil {
		return cost{}, err
	}
	stat, status, _ := bytes.Cut(text, []byte("\n"))
	_, after, _ := bytes.Cut(stat, []byte(") "))
	f := strings.Fields(string(after)) // from the third field of proc(5) on
	if len(f) < 13 {
		return cost{}, fmt.Errorf("host %s: cannot read %q", h.Name, stat)
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	const tick = 10 * time.Millisecond
	return cost{mebibytes(status, "VmRSS"), mebibytes(status, "RssAnon"), time.Duration(user+system) * tick}, nil
}

func mebibytes(status []byte, field string) float64 {
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}

// sizes takes figure f of the binary.
func (b *bench) sizes(ctx context.Context) error {
	raw, err := os.ReadFile(b.spore)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(raw); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	mib := func(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	text := "gzip: " + mib(packed.Len())
	if _, err := exec.LookPath("zstd"); err == nil {
		out, err := b.command(ctx, "zstd", "-q", "-19", "-T0", "-c", b.spore).Output()
		if err != nil {
			return fmt.Errorf("run zstd: %w", err)
		}
		text += ", zstd -19: " + mib(len(out))
	}
	b.table.note("f: binary", mib(len(raw)), text, fmt.Sprintf("%.2f", float64(packed.Len())/float64(len(raw))))
	return nil
}
